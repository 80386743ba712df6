"""What the server says on the socket, as models: they describe its frames in the AsyncAPI document.

Tests hold every frame that is sent against them.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, Field

from app.roles import Role
from app.verbs import ClientId, Frame, Room
from app.verdict import ErrorCode


class Event(Frame):
    """Offsets of a room are consecutive over all kinds of events."""

    room: Room
    offset: int = Field(ge=1)
    sender: str = Field(description="Who did it.")
    timestamp: float = Field(description="Unix seconds.")


class Message(Event):
    """A stored post. One that was deleted keeps its offset, without its text."""

    type: Literal["message"] = "message"
    message: str
    edited_at: float | None = Field(None, description="Unix seconds of the last edit; `message` is the newest text.")
    deleted: Literal[True] | None = None


class Edited(Event):
    """The message at `target` has another text now."""

    type: Literal["edited"] = "edited"
    target: int
    message: str
    deleted: Literal[True] | None = Field(None, description="It was deleted later: the text is gone here, too.")


class Deleted(Event):
    """The message at `target` is gone: a tombstone stays."""

    type: Literal["deleted"] = "deleted"
    target: int
    reason: str | None = None


class MemberChanged(Event):
    """Who is in the room, and as what, changed. `left`, `kicked`, `banned` and `declined` end a membership."""

    type: Literal["member"] = "member"
    change: Literal["joined", "left", "declined", "invited", "kicked", "banned", "unbanned", "muted", "unmuted", "role"]
    user: str
    role: Role | None = None
    until: float | None = Field(None, description="Unix seconds; left out for a ban or mute without an end.")
    reason: str | None = None


class RoomChanged(Event):
    """The room itself changed; what is named is new."""

    type: Literal["room"] = "room"
    change: Literal["created", "renamed", "configured", "archived", "unarchived"]
    title: str | None = None
    public: bool | None = None
    posts_per_second: float | None = Field(None, description="0: the server's own rate.")
    slow_seconds: float | None = None


class TutorialMessage(Frame):
    """A message in the tutorial profile; `System` speaks for the server."""

    sender: str
    message: str
    timestamp: float = Field(description="Unix seconds.")


class Ack(Frame):
    """The frame with this id was carried out; for what changes a room: durably stored at this offset."""

    type: Literal["ack"] = "ack"
    id: ClientId | None = None
    room: Room | None = None
    offset: int | None = Field(None, ge=1)
    expires_at: float | None = Field(None, description="After a refresh: when the new credential ends, Unix seconds.")


class Error(Frame):
    """The frame with this id was not carried out. With `retry_after`, the same frame may pass after so many seconds.

    `removed` comes without an id: the room with that name sends nothing to this connection any more.
    """

    type: Literal["error"] = "error"
    code: ErrorCode
    error: str = Field(description="A sentence for a person.")
    id: ClientId | None = None
    room: Room | None = None
    limit: str | None = Field(None, description="The limit that was reached.")
    retry_after: float | None = Field(None, description="Seconds.")


class Joined(Frame):
    """The connection is a live member now: the next event of the room has the next offset."""

    type: Literal["joined"] = "joined"
    room: Room
    offset: int = Field(ge=0)
    epoch: str = Field(description="Offsets of another epoch mean nothing in this one.")
    recovered: bool = Field(description="`offset` is the `after` that was asked for, and no event above it is missing.")
    newest: int = Field(ge=0, description="The room's newest offset: up to here what follows is a replay.")
    role: Literal["owner", "moderator", "member"]
    title: str
    public: bool
    archived: bool | None = None
    posts_per_second: float | None = None
    slow_seconds: float | None = None
    muted_until: float | None = Field(None, description="Unix seconds; -1 without an end.")
    id: ClientId | None = None


class Presence(Frame):
    """Who came and went lately. Ephemeral: no offset, coalesced, left out in large rooms."""

    type: Literal["presence"] = "presence"
    room: Room
    joined: list[str]
    left: list[str]


class TypingNow(Frame):
    """Who is writing. Ephemeral, like presence; forget it after 7 seconds."""

    type: Literal["typing"] = "typing"
    room: Room
    users: list[str]


class Membership(Frame):
    """The user's own list of rooms changed: for all of their connections, in the room or not. Ephemeral."""

    type: Literal["membership"] = "membership"
    room: Room
    change: str = Field(description="`created`, or the `change` of the member event.")
    sender: str


EventFrame = Message | Edited | Deleted | MemberChanged | RoomChanged


class HistoryPage(Frame):
    """Events in offset order; `more` says whether the history goes on in the asked direction."""

    type: Literal["history"] = "history"
    id: ClientId | None = None
    room: Room
    epoch: str
    events: list[EventFrame]
    more: bool


class MemberRow(BaseModel):
    """One member, invited or banned user."""

    user: str
    role: Role
    online: bool
    muted_until: float | None = Field(None, description="Unix seconds; -1 without an end.")
    banned_until: float | None = Field(None, description="Unix seconds; -1 without an end.")


class MembersPage(Frame):
    """At most 1000 rows: those who are there now first, then by role and name. In the default room, who has no row of
    their own stands here only while online."""

    type: Literal["members"] = "members"
    id: ClientId | None = None
    room: Room
    members: list[MemberRow]


class AuditRow(BaseModel):
    """Who changed what, and why."""

    id: int
    offset: int
    timestamp: float
    by: str
    action: str
    user: str | None = None
    reason: str | None = None
    facts: dict[str, str | float | bool | None] | None = None


class AuditPage(Frame):
    """Newest first; `more` says whether older entries follow."""

    type: Literal["audit"] = "audit"
    id: ClientId | None = None
    room: Room
    entries: list[AuditRow]
    more: bool


class RoomRow(BaseModel):
    """A room in a list, as its user sees it."""

    room: str
    title: str
    public: bool
    archived: bool
    role: Role
    members: int
    offset: int
    read: int = Field(description="The user's own mark.")
    unread: int = Field(description="Messages of others above it, counted up to 100.")
    posts_per_second: float | None = None
    slow_seconds: float | None = None
    muted_until: float | None = Field(None, description="Unix seconds; -1 without an end.")


class RoomsPage(Frame):
    """The user's rooms and invitations, or the public rooms that can be joined."""

    type: Literal["rooms"] = "rooms"
    id: ClientId | None = None
    rooms: list[RoomRow]


class Expiring(Frame):
    """The credential ends soon: send `refresh`, or be closed with 4001."""

    type: Literal["expiring"] = "expiring"
    expires_at: float = Field(description="Unix seconds.")


class GoingAway(Frame):
    """The server restarts: the connection will be closed with 1012; reconnect after so many seconds."""

    type: Literal["going_away"] = "going_away"
    retry_after: float = Field(description="Seconds, spread over the clients.")


EVENT_FRAMES: Final[tuple[type[Event], ...]] = (Message, Edited, Deleted, MemberChanged, RoomChanged)
SERVER_FRAMES: Final[tuple[type[Frame], ...]] = (
    *EVENT_FRAMES,
    Ack,
    Error,
    Joined,
    Presence,
    TypingNow,
    Membership,
    HistoryPage,
    MembersPage,
    AuditPage,
    RoomsPage,
    Expiring,
    GoingAway,
)
