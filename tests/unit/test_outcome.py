"""What became of a post is told by whose fault it is."""

from __future__ import annotations

import dataclasses

import pytest

from app.model import Event, Offset, RoomId, Stored, UserName
from app.outcome import Outcome, outcome
from app.verdict import Denied, ErrorCode

STORED = Stored(Event(RoomId("lobby"), Offset(1), UserName("ann"), "hi", 0.0), repeated=False)


@pytest.mark.parametrize("code", ErrorCode)
def test_only_the_servers_own_trouble_is_busy(code: ErrorCode) -> None:
    """A limit is a throttle, and everything else is about the sender."""
    told = {ErrorCode.BUSY: Outcome.BUSY, ErrorCode.RATE_LIMITED: Outcome.THROTTLED}
    assert outcome(Denied(code)) is told.get(code, Outcome.REFUSED)


def test_what_is_stored_is_told_from_what_was_stored_before() -> None:
    """And a store that says nothing is the server's own trouble."""
    assert outcome(STORED) is Outcome.ACCEPTED
    assert outcome(dataclasses.replace(STORED, repeated=True)) is Outcome.REPEATED
    assert outcome(None) is Outcome.BUSY
