"""One client in one room: its record held against the room's history, step by step, up to the first fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from client import check_members
from client.check_fault import Counterexample, Fault
from client.check_members import Span
from client.record import Delivered, Ended, History, Joined, Saw, Stored


class Walk:
    """A stay begins with `joined` and goes on until the membership or the connection ends. What a stay left out, a
    later one has to deliver, unless the membership ended in between."""

    def __init__(
        self, user: str, saw: Sequence[Saw], history: History, events: Mapping[int, Stored], spans: Sequence[Span]
    ) -> None:
        """`events` are the history's by their offsets."""
        self._user, self._saw, self._history, self._events, self._spans = user, saw, history, events, spans
        self._newest = history.events[-1].offset if history.events else history.floor
        self._cursor: int | None = None
        self._epoch = ""
        self._until: int | None = None
        """Where the membership of this stay ended."""
        self._live = False

    def fault(self) -> Counterexample | None:
        """The first thing that is wrong."""
        for saw in self._saw:
            if found := self._step(saw):
                return found
        return self._ending()

    def _step(self, saw: Saw) -> Counterexample | None:
        if isinstance(saw, Joined):
            return self._joined(saw)
        if isinstance(saw, Delivered):
            return self._delivered(saw)
        self._live = False
        return None

    def _joined(self, saw: Joined) -> Counterexample | None:
        current = saw.epoch == self._history.epoch
        span = check_members.at(self._spans, saw.newest)
        if current and span is None:
            return self._found(Fault.LEAKED, saw, saw.newest, "was let in while not a member")
        found = None if self._cursor is None else self._continued(saw, self._cursor)
        # A client may ask below what it got: what it had not passed on yet when the connection was lost.
        self._cursor, self._epoch, self._live = saw.offset, saw.epoch, True
        self._until = span.last if span else None
        return found

    def _continued(self, saw: Joined, cursor: int) -> Counterexample | None:
        """Whether what lies between the last stay and this one was lost."""
        if saw.epoch != self._epoch:
            return None
        if saw.after is not None and not saw.recovered:
            if self._history.floor > saw.after:
                return None
            what = (
                f"asked to resume after {saw.after} and was told recovered: false, offset {saw.offset}, for no reason"
            )
            return self._found(Fault.RESET, saw, saw.offset, what)
        if saw.offset > cursor and not (saw.after is None and self._was_out(cursor, saw.newest)):
            what = f"went on after {saw.offset}, having got nothing above {cursor} before"
            return self._found(Fault.LOST, saw, cursor + 1, what)
        return None

    def _was_out(self, cursor: int, newest: int) -> bool:
        """Whether a membership ended since the last delivery, and the client knows."""
        told = not self._live or cursor == self._until
        return told and any(span.last is not None and cursor <= span.last <= newest for span in self._spans)

    def _delivered(self, saw: Delivered) -> Counterexample | None:
        current = self._epoch == self._history.epoch
        if current and (found := self._unlike_stored(saw)):
            return found
        if not self._live or self._cursor is None:
            return self._found(Fault.LEAKED, saw, saw.offset, "was delivered outside of any stay in the room")
        if current and self._until is not None and saw.offset > self._until:
            what = f"was delivered to them after they had been removed at offset {self._until}"
            return self._found(Fault.LEAKED, saw, saw.offset, what)
        if found := self._out_of_turn(saw, self._cursor + 1):
            return found
        self._cursor = saw.offset
        return None

    def _unlike_stored(self, saw: Delivered) -> Counterexample | None:
        stored = self._events.get(saw.offset)
        if stored is None:
            gone = saw.offset <= self._history.floor
            return None if gone else self._found(Fault.INVENTED, saw, saw.offset, "was delivered and is not stored")
        if (stored.kind, stored.sender) != (saw.kind, saw.sender):
            what = f"came as {saw.kind} of {saw.sender}, and is stored as {stored.kind} of {stored.sender}"
            return self._found(Fault.ALTERED, saw, saw.offset, what)
        if stored.digest != saw.digest and not stored.rewritten:
            return self._found(Fault.ALTERED, saw, saw.offset, "was delivered with another content than is stored")
        return None

    def _out_of_turn(self, saw: Delivered, expected: int) -> Counterexample | None:
        if saw.offset == expected:
            return None
        offsets = [other.offset for other in self._saw if isinstance(other, Delivered)]
        if saw.offset < expected:
            again = offsets.count(saw.offset) > 1
            what = f"was delivered {'again, ' * again}after offset {expected - 1}"
            return self._found(Fault.REPEATED if again else Fault.REORDERED, saw, saw.offset, what)
        # What only a later connection brings was missing on this one.
        if any(
            isinstance(other, Delivered) and (other.life, other.offset) == (saw.life, expected) for other in self._saw
        ):
            what = f"was delivered before offset {expected}"
            return self._found(Fault.REORDERED, saw, saw.offset, what)
        return self._found(Fault.LOST, saw, expected, f"was never delivered; after it came {saw.offset}")

    def _ending(self) -> Counterexample | None:
        if self._cursor is None or self._epoch != self._history.epoch:
            return None
        member = bool(self._spans) and self._spans[-1].last is None
        last = self._saw[-1]
        if self._live:
            ought = self._newest if self._until is None else self._until
            if self._cursor < ought:
                what = f"is stored and was never delivered, though they are live; the last that came was {self._cursor}"
                return self._found(Fault.LOST, last, self._cursor + 1, what)
        if member and not (self._live and self._until is None):
            what = "is a member in the end and is not live again"
            return self._found(Fault.LOST, last, self._cursor + 1, what)
        return None

    def _found(self, fault: Fault, saw: Saw, offset: int, what: str) -> Counterexample:
        life = "" if isinstance(saw, Ended) else f" (connection {saw.life})"
        return Counterexample(fault, self._history.room, offset, self._user, saw.at, what + life)
