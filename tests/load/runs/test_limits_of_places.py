"""A verdict that cannot fail is worth nothing: rooms, addresses, bytes, sign-ins and more, right, off, off by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.attack_sizes import BIG
from tests.load.runs.proving import SERVERS, Trial, prove
from tests.stack.running import RunningStack

PROMISED = {
    "posts_per_room_per_second": 4,
    "posts_per_room_burst": 6,
    "bytes_per_user_per_second": BIG,
    "bytes_per_user_burst": 3 * BIG,
    "malformed_per_minute": 5,
    "sign_ins_per_account_and_address_per_minute": 4,
    "sign_ins_per_address_per_minute": 7,
    "reads_per_user_per_second": 4,
    "reads_per_user_burst": 8,
    "changes_per_user_per_second": 1,
    "changes_per_user_burst": 4,
    "connections_per_address": 6,
    "connections_per_room": 24,
    "rooms_per_user": 3,
}
TRIALS = (
    Trial("room-flood", "posts_per_room", "posts_per_room_burst", users=20),
    Trial("byte-flood", "bytes_per_user", "bytes_per_user_burst", step=BIG),
    Trial("bad-frames", "malformed", "malformed_per_minute"),
    Trial("stuffing", "sign_ins_per_address", "sign_ins_per_address_per_minute"),
    Trial("stuffing-name", "sign_ins_per_account_and_address", "sign_ins_per_account_and_address_per_minute"),
    Trial("read-flood", "reads_per_user", "reads_per_user_burst"),
    Trial("change-flood", "changes_per_user", "changes_per_user_burst"),
    Trial("hoard-address", "connections_per_address", "connections_per_address", users=9),
    Trial("full-room", "connections_per_room", "connections_per_room", users=30),
    Trial("hoard-rooms", "rooms_per_user", "rooms_per_user"),
)


@pytest.mark.parametrize("server", SERVERS)
def test_only_the_promised_limit_is_green(stack: RunningStack, tmp_path: Path, server: str) -> None:
    """None at all, one more and one fewer are red, each for that limit's sake."""
    prove(stack, PROMISED, TRIALS, server, tmp_path)
