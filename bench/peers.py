"""The table of peers: a new one is a module with a class and one line here."""

from __future__ import annotations

from collections.abc import Callable

from bench.peer import Peer
from bench.peer_portcullis import PortcullisPeer
from bench.peer_tutorial import TutorialPeer

# Every run has both: the tutorial as its text runs it, over TCP, and the same over a Unix socket. A Unix socket
# makes each send far cheaper, so that only the second says what Portcullis itself gains behind its own one.
REFERENCES = ("tutorial", "tutorial-unix")

PEERS: dict[str, Callable[[], Peer]] = {
    "tutorial": TutorialPeer,
    "tutorial-unix": lambda: TutorialPeer(unix=True),
    "portcullis": PortcullisPeer,
}
