"""What the server says, as values. Fields that are not known here are passed over: the server may be newer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, Final, TypeVar

from client.errors import Garbled

Fields = Mapping[str, Any]
"""One frame as JSON has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A stored change of a room. Offsets of a room are consecutive; a kind that is not known here is just an Event."""

    room: str
    offset: int
    sender: str
    timestamp: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Event):
    """Somebody said something."""

    message: str
    edited_at: float | None = None
    """Unix seconds of the last edit; `message` is the newest text."""
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited(Event):
    """The message at `target` has another text now."""

    target: int
    message: str
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted(Event):
    """The message at `target` is gone."""

    target: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChanged(Event):
    """Who is in the room, and as what."""

    change: str
    user: str
    role: str | None = None
    until: float | None = None
    """Unix seconds; None for a ban or mute without an end."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomChanged(Event):
    """The room itself; what is named is new."""

    change: str
    title: str | None = None
    public: bool | None = None
    posts_per_second: float | None = None
    slow_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Who came and went lately. Ephemeral: it may be missing."""

    room: str
    joined: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing:
    """Who is writing. Ephemeral: forget it after 7 seconds."""

    room: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The user's own list of rooms changed. Ephemeral."""

    room: str
    change: str
    sender: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The room could not be resumed: what was missed is not coming. The next event has the offset after `offset`.

    With the same `epoch` as before, `Room.history(after=…)` has what retention left of it; with another one, offsets
    from before mean nothing any more.
    """

    room: str
    after: int
    """The last offset that was passed on before."""
    offset: int
    epoch: str
    same_epoch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Nothing more comes from this room: `reason` is `kicked`, `banned`, `left` or the code of a refused `join`."""

    room: str
    reason: str


Delivery = Event | Presence | Typing | Membership | Reset | Removed
"""What iterating over a client yields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Events in offset order; `more` says whether the history goes on in the asked direction."""

    room: str
    epoch: str
    events: tuple[Event, ...]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A member, an invited or a banned user."""

    user: str
    role: str
    online: bool
    muted_until: float | None = None
    """Unix seconds; -1 without an end."""
    banned_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Who changed what, and why."""

    id: int
    offset: int
    timestamp: float
    by: str
    action: str
    user: str | None = None
    reason: str = ""
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRow:
    """A room in a list."""

    room: str
    title: str
    public: bool
    archived: bool
    role: str
    members: int
    offset: int
    read: int
    unread: int
    posts_per_second: float | None = None
    slow_seconds: float | None = None
    muted_until: float | None = None


_EVENTS: Final[dict[str, type[Event]]] = {
    "message": Message,
    "edited": Edited,
    "deleted": Deleted,
    "member": MemberChanged,
    "room": RoomChanged,
}
_EPHEMERAL: Final[dict[str, type[Presence | Typing | Membership]]] = {
    "presence": Presence,
    "typing": Typing,
    "membership": Membership,
}
Row = TypeVar("Row", bound=Hashable)


def event(frame: Fields) -> Event | None:
    """The event in a frame; None when it is a frame of another sort. Raises Garbled for one that lacks a field."""
    kind = _EVENTS.get(frame.get("type", ""))
    if kind is None and not {"room", "offset", "sender", "timestamp"} <= frame.keys():
        return None
    found = row(kind or Event, frame)
    if type(found.room) is not str or type(found.offset) is not int:
        raise Garbled("an event's room or offset has the wrong type")
    return found


def ephemeral(frame: Fields) -> Presence | Typing | Membership:
    """The ephemeral notice in a frame of one of those types."""
    kind = _EPHEMERAL[frame["type"]]
    return row(kind, {name: tuple(value) if isinstance(value, list) else value for name, value in frame.items()})


def row(kind: type[Row], given: Fields) -> Row:
    """One value of a dataclass from the fields of a JSON object; raises Garbled when a needed one is missing."""
    known, needed = _names(kind)
    if not needed <= given.keys():
        raise Garbled(f"{kind.__name__} lacks {', '.join(sorted(needed - given.keys()))}")
    return kind(**{name: value for name, value in given.items() if name in known and value is not None})


@cache
def _names(kind: Any) -> tuple[frozenset[str], frozenset[str]]:
    every = fields(kind)
    return frozenset(one.name for one in every), frozenset(one.name for one in every if one.default is MISSING)
