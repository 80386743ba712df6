"""The nouns that every layer shares. No I/O and no behaviour beyond their own invariants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

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


@dataclass(frozen=True, slots=True)
class Post:
    """A message on its way into the store."""

    room: RoomId
    sender: UserName
    message: str
    client_id: str | None = None
    """The client's own id: one (room, sender, client_id) gets one offset, however often it is sent."""


@dataclass(frozen=True, slots=True)
class Event:
    """A stored change of a room's history."""

    room: RoomId
    offset: Offset
    sender: UserName
    message: str
    timestamp: float
    """Unix seconds, given by the store when it was written."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store answers to a post."""

    event: Event
    repeated: bool
    """The id was stored before: acked again with the first offset, delivered to nobody."""


@dataclass(frozen=True, slots=True)
class RoomState:
    """Where a room's history stands."""

    room: RoomId
    offset: Offset
    epoch: str
    """Changes when offsets may have gone back (a restore, an unproven promotion)."""


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
