"""What the benchmark must know about a chat server to compare it with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bench.server import Server

# Posts rotate over the connections and so over this many users: the limits of each are exercised.
USERS = 8


class Peer(Protocol):
    """One kind of server with one room in which everybody receives every message, the sender too."""

    name: str
    acks: bool  # whether every post is answered with one ack besides its deliveries

    def start(self, folder: Path, core: int, receivers: int) -> Server:
        """Return the server, made ready in `folder` for so many receivers, to be entered as a context."""

    def opening(self, index: int) -> bytes:
        """Return the opening request of connection `index`."""

    def greeting(self, index: int) -> tuple[bytes, bytes] | None:
        """Return what joins the room after the handshake, if needed, and what the answer to it contains."""

    def post(self, number: int, text: str) -> bytes:
        """Return the payload that posts `text`; `number` differs from post to post."""
