"""What became of a post, in the words of `messages_total{outcome}`."""

from __future__ import annotations

from enum import StrEnum

from app.model import Stored
from app.verdict import Denied, ErrorCode


class Outcome(StrEnum):
    """Whose fault it is that a post was not stored tells the last two apart."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    THROTTLED = "throttled"
    INVALID = "invalid"
    REFUSED = "refused"
    """The sender may not post there."""
    BUSY = "busy"
    """The server could not take it: its store did not answer, or its queue was full."""


def outcome(answer: Stored | Denied | None) -> Outcome:
    """Of a post by its answer; None when the store did not say, so that nobody knows whether it is there."""
    match answer:
        case None | Denied(code=ErrorCode.BUSY):
            return Outcome.BUSY
        case Denied(code=ErrorCode.RATE_LIMITED):
            return Outcome.THROTTLED
        case Denied():
            return Outcome.REFUSED
        case Stored():
            return Outcome.REPEATED if answer.repeated else Outcome.ACCEPTED
