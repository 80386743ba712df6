"""Who was in a room between which of its events, from its own history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from client.record import History

_OUT: Final = frozenset({"left", "kicked", "banned"})
_IN: Final = frozenset({"joined", "invited"})


@dataclass(frozen=True, slots=True)
class Span:
    """One membership: from the event that began it up to the one that ended it, which the member still gets."""

    first: int
    last: int | None = None

    def holds(self, offset: int) -> bool:
        """Whether they were a member right after the event at `offset`."""
        return self.first <= offset and (self.last is None or offset < self.last)


Spans = Mapping[str, Sequence[Span]]
"""By user, oldest first."""

ALWAYS: Final = Span(0)


def spans(history: History) -> Spans:
    """The memberships that a room's events tell of. Where retention has cut the history short, whoever it does not see
    coming in is taken for a member from the beginning on."""
    found: dict[str, list[Span]] = {}
    for event in history.events:
        if event.change == "created":
            found[event.sender] = [Span(event.offset)]
        elif event.kind == "member":
            _note(found.setdefault(event.user, _before(history)), event.offset, event.change)
    return found


def of(user: str, history: History, members: Spans) -> Sequence[Span]:
    """One user's memberships."""
    return [ALWAYS] if history.everyone else members.get(user, _before(history))


def at(spans: Sequence[Span], offset: int) -> Span | None:
    """The membership that held right after an event."""
    return next((span for span in spans if span.holds(offset)), None)


def _before(history: History) -> list[Span]:
    return [ALWAYS] if history.floor else []


def _note(of_user: list[Span], offset: int, change: str) -> None:
    if change in _IN and of_user == [ALWAYS]:
        of_user.clear()
    inside = bool(of_user) and of_user[-1].last is None
    if change == "joined" and not inside:
        of_user.append(Span(offset))
    elif change in _OUT and inside:
        of_user[-1] = Span(of_user[-1].first, offset)
