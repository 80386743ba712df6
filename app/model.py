"""The nouns that every layer shares. No I/O and no behaviour beyond their own invariants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType

from app.roles import Action, Role

UserName = NewType("UserName", str)
RoomId = NewType("RoomId", str)
SessionId = NewType("SessionId", str)
ConnectionId = NewType("ConnectionId", str)
Address = NewType("Address", str)
"""A client's address as limits count it: one IPv4 address, or one IPv6 /64 (`2001:db8:1:2::/64`)."""
Offset = NewType("Offset", int)

DEFAULT_ROOM = RoomId("lobby")


class Credential(StrEnum):
    """How a handshake proved who it is."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified credential and the account behind it, as far as a live connection has to obey them."""

    user: UserName
    credential: Credential
    expires_at: float
    """Unix seconds; the connection closes then unless it was refreshed."""
    issuer: str
    subject: str
    session: SessionId | None = None
    """The session that the credential descends from, if any: when it ends, so does the connection."""
    token_id: str | None = None
    """`jti` of the token (or its digest where an external issuer gave none); for a ticket, of its parent."""
    admin: bool = False


class EventKind(StrEnum):
    """What an event changed. Every kind has an offset of its room."""

    MESSAGE = "message"
    EDITED = "edited"
    DELETED = "deleted"
    MEMBER = "member"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Post:
    """A message on its way into the store."""

    room: RoomId
    sender: UserName
    message: str
    client_id: str | None = None
    """The client's own id: one (room, sender, client_id) gets one offset, however often it is sent."""
    access: int = -1
    """`RoomState.access` as of which the sender was found entitled; where it moved on, the store asks again."""


@dataclass(frozen=True, slots=True)
class Change:
    """What else a user wants to change about a room, on its way into the store, which says whether they may."""

    room: RoomId
    sender: UserName
    action: Action
    client_id: str | None = None
    user: UserName | None = None
    """Whom it concerns."""
    target: int | None = None
    """The offset of the message it concerns."""
    message: str = ""
    role: Role | None = None
    until: float | None = None
    """Unix seconds at which a ban or a mute ends, None for one without an end."""
    reason: str = ""
    facts: Mapping[str, Any] | None = None
    """What is set anew: of title, public, posts_per_second and slow_seconds those that change."""
    rooms_at_most: int = 0
    """Rooms that a user who joins may be a member of."""
    request_id: str | None = None
    """What asked for it, as the logs call it; the audit log keeps it."""


@dataclass(frozen=True, slots=True)
class Event:
    """A stored change of a room's history or membership."""

    room: RoomId
    offset: Offset
    sender: UserName
    """Who did it."""
    message: str
    """The text of a message and of an edit; empty in all else, and once it was deleted."""
    timestamp: float
    """Unix seconds, given by the store when it was written."""
    kind: EventKind = EventKind.MESSAGE
    facts: Mapping[str, Any] | None = None
    """The frame's further fields: `edited_at` or `deleted` of a message, and all that the other kinds say."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store answers to a post or a change that it carried out."""

    event: Event
    repeated: bool
    """The id was stored before: acked again with the first offset, delivered to nobody."""


@dataclass(frozen=True, slots=True)
class RoomState:
    """A room and where its history stands."""

    room: RoomId
    offset: Offset
    epoch: str
    """Changes when offsets may have gone back (a restore, an unproven promotion)."""
    floor: Offset = Offset(0)
    """Events at or below are gone, by retention."""
    access: int = 0
    """Moves on by one with every event of the kinds member and room."""
    title: str = ""
    public: bool = True
    everyone: bool = False
    """Every account is a member without having joined: the default room."""
    archived: bool = False
    posts_per_second: float | None = None
    """The owner's own rate, None for the server's."""
    slow_seconds: float = 0.0
    """Slow mode: a member posts once in so many seconds; 0 for none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A room and who one user is in it, at one moment."""

    state: RoomState
    role: Role
    muted_until: float = 0.0
    """Unix seconds, `inf` without an end, in the past or 0 when not muted."""
    banned_until: float = 0.0
    """The same for a ban."""
    joined: bool = True
    """They were given a role here: are not only what everybody is, or an administrator is in public rooms."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A room as one user's list of rooms shows it."""

    entry: Entry
    members: int
    """How many have joined."""
    unread: int = 0
    """Messages of others above the user's own mark; counted up to 100."""
    read: Offset = Offset(0)
    """The user's mark: everything at or below was read."""


@dataclass(frozen=True, slots=True)
class Member:
    """One row of a room's members."""

    user: UserName
    role: Role
    muted_until: float = 0.0
    banned_until: float = 0.0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who changed what about a room, and why. Kept for good, longer than the event that tells it."""

    id: int
    room: RoomId
    offset: Offset
    timestamp: float
    by: UserName
    action: str
    """`create`, or an `Action`."""
    user: UserName | None
    reason: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the store knows them."""

    name: UserName
    admin: bool
    disabled: bool
    password_hash: str | None
    """Argon2id in PHC form; None for accounts of an external issuer."""
    one_time: bool
    """The password opens nothing but the choice of a new one."""
    banned_until: float | None = None
    """Unix seconds (`inf` without an end) of the ban in force, if there is one."""


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in. The cookie's value itself is nowhere: the store keeps its SHA-256."""

    id: SessionId
    user: UserName
    created_at: float
    seen_at: float
    expires_at: float
    agent: str
    address: str


class BanKind(StrEnum):
    USER = "user"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Ban:
    """An administrator's ban of a user or of an address, until a time or for good."""

    id: int
    kind: BanKind
    value: str
    until: float | None
    reason: str
    by: UserName
    created_at: float


class RevocationKind(StrEnum):
    TOKEN = "token"  # noqa: S105
    SESSION = "session"
    USER = "user"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A control message: connections that match it close at once, on every node."""

    kind: RevocationKind
    value: str
    reason: str
    """A word of the close-code table: revoked, account_disabled, account_banned or ip_banned."""
