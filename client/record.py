"""What one client did and saw, in its own order, and what is stored in the end: the delivery checker's material."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_BESIDE: Final = frozenset({"room", "offset", "sender", "timestamp", "edited_at", "deleted"})
"""Fields of an event's frame that its digest leaves out: they are compared by themselves, or change later."""


def digest(frame: Mapping[str, Any]) -> str:
    """What an event's frame says, in 16 characters: alike for what was posted, delivered and stored."""
    said = {name: value for name, value in frame.items() if name not in _BESIDE and value is not None}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return sys.intern(hashlib.blake2b(text.encode(), digest_size=8).hexdigest())


@dataclass(frozen=True, slots=True)
class Joined:
    """The server let the client into a room, live; the next event has to be the one after `offset`."""

    at: float
    life: int
    """Which of the client's connections, counted from 1."""
    room: str
    after: int | None
    """Where the client asked to resume."""
    offset: int
    newest: int
    epoch: str
    recovered: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event came: over the connection, or out of the client library."""

    at: float
    life: int
    room: str
    offset: int
    kind: str
    sender: str
    digest: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes from a room on this connection, as the client was told; or from any, as it was lost."""

    at: float
    life: int
    room: str | None = None
    why: str = "lost"


Saw = Joined | Delivered | Ended


@dataclass(slots=True)
class Post:
    """What a client wanted to have stored: a message, or a change of the room."""

    id: str
    room: str
    digest: str
    at: float
    offset: int | None = None
    """Where it is stored, once that was acked."""
    refusal: str | None = None
    """The error that ended it. It may be stored all the same: an ack can be lost before a removal."""


@dataclass(slots=True)
class Record:
    """One client of one user, which took part until the end."""

    user: str
    posts: list[Post] = field(default_factory=list)
    saw: list[Saw] = field(default_factory=list)
    """What came over its connections."""
    handed: list[Delivered] = field(default_factory=list)
    """What the client library made of it for its caller."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One event of a room's history."""

    offset: int
    kind: str
    sender: str
    digest: str
    at: float
    change: str = ""
    user: str = ""
    """Whom a member event concerns."""
    rewritten: bool = False
    """A message that was edited or deleted later: its text is not what it was."""


@dataclass(frozen=True, slots=True)
class History:
    """What a room's store holds in the end, oldest first."""

    room: str
    epoch: str
    events: list[Stored]
    floor: int = 0
    """Events at or below are gone, by retention."""
    everyone: bool = False
    """Every account is a member: the default room."""


def stored(frame: Mapping[str, Any]) -> Stored:
    """A page of history's frame."""
    return Stored(
        frame["offset"],
        sys.intern(frame["type"]),
        sys.intern(frame["sender"]),
        digest(frame),
        frame["timestamp"],
        frame.get("change", ""),
        frame.get("user", ""),
        bool(frame.get("edited_at") or frame.get("deleted")),
    )


def delivered(frame: Mapping[str, Any], life: int, at: float) -> Delivered:
    """An event's frame as it came."""
    room, kind, sender = (sys.intern(frame[name]) for name in ("room", "type", "sender"))
    return Delivered(at, life, room, frame["offset"], kind, sender, digest(frame))
