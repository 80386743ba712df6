"""A verdict that cannot fail is worth nothing: connections, handshakes, posts and frames, right, off and off by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.runs.proving import SERVERS, Trial, prove
from tests.stack.running import RunningStack

PROMISED = {
    "posts_per_user_per_second": 1,
    "posts_per_user_burst": 3,
    "connections_per_user": 5,
    "handshakes_per_address_per_minute": 20,
    "handshakes_per_address_burst": 4,
    "frames_per_connection_per_second": 4,
    "frames_per_connection_burst": 6,
    "connections_per_node": 30,
    "message_characters": 40,
    "frame_bytes": 2048,
}
TRIALS = (
    Trial("post-flood", "posts_per_user", "posts_per_user_burst"),
    Trial("hoard-user", "connections_per_user", "connections_per_user"),
    Trial("handshake-flood-many", "handshakes_per_address", "handshakes_per_address_burst"),
    Trial("frame-flood", "frames_per_connection", "frames_per_connection_burst"),
    Trial("full-node", "connections_per_node", "connections_per_node", users=40),
    Trial("sizes", "sizes kept", "message_characters"),
)


@pytest.mark.parametrize("server", SERVERS)
def test_only_the_promised_limit_is_green(stack: RunningStack, tmp_path: Path, server: str) -> None:
    """None at all, one more and one fewer are red, each for that limit's sake."""
    prove(stack, PROMISED, TRIALS, server, tmp_path)
