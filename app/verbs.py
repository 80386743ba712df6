"""What a client may say on the socket, as models: they parse its frames, the bodies of the same verbs over HTTP, and
describe both in the AsyncAPI and OpenAPI documents."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError


def _text(value: str, info: ValidationInfo) -> str:
    """A message people can read: not blank, not too long, no control characters but newline and tab."""
    longest: int = info.context["message_characters"] if info.context else DEFAULT_CHARACTERS
    if len(value) > longest:
        raise PydanticCustomError("too_long", "Message too long (max {longest} characters)", {"longest": longest})
    if not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value):
        raise PydanticCustomError("string_unicode", "lone surrogate")
    if not value.isprintable() and any(_is_control(character) for character in value):
        raise PydanticCustomError("control_character", "Message cannot contain control characters")
    if not any(_is_visible(character) for character in value):
        raise PydanticCustomError("blank", "Message cannot be empty")
    return value


def _is_control(character: str) -> bool:
    return (character < " " and character not in "\n\t") or "\x7f" <= character <= "\x9f"


_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | set(map(chr, range(0xFE00, 0xFE10)))
"""Letters, marks and symbols to Unicode that leave nothing on the screen."""


def _is_visible(character: str) -> bool:
    return character.isprintable() and not character.isspace() and character not in _FILLERS


DEFAULT_CHARACTERS: Final = 500

Text = Annotated[str, AfterValidator(_text), Field(description="Unicode text, not blank, at most 500 characters.")]
Room = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="A room's name.")]
CLIENT_ID: Final = re.compile(r"^[\x21-\x7e]{1,64}$")
ClientId = Annotated[
    str,
    Field(pattern=CLIENT_ID.pattern, description="The client's own id of this frame; its answer repeats it."),
]


Offset = Annotated[int, Field(ge=0, lt=1 << 53, description="An offset of the room.")]
User = Annotated[str, Field(min_length=1, max_length=64, description="An account's name.")]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400.0, allow_inf_nan=False)]


def _line(value: str) -> str:
    """One line that people can read."""
    if not value.isprintable():
        raise PydanticCustomError("control_character", "Only one line of printable characters is allowed here")
    return value


def _title(value: str) -> str:
    if not any(map(_is_visible, value)) or value != value.strip():
        raise PydanticCustomError("blank", "A title has to show something, without blanks around it")
    return _line(value)


Title = Annotated[str, Field(max_length=80, description="A room's title."), AfterValidator(_title)]
Why = Annotated[
    str, Field(max_length=200, description="Shown to the room and kept in its audit log."), AfterValidator(_line)
]
GivenRole = Literal["owner", "moderator", "member"]


class Frame(BaseModel):
    """What all frames have in common: no unknown field, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Verb(Frame):
    """A client's frame; its answer repeats the id."""

    id: ClientId | None = None


class InRoom(Verb):
    """A verb about one room."""

    room: Room


class Concerning(InRoom):
    """A verb about one user in a room."""

    user: User
    reason: Why = ""


class Join(InRoom):
    """Become a live member of a room; answered by `joined`. With `after`, everything above it is sent again."""

    type: Literal["join"]
    after: Offset | None = Field(None, description="The last offset that the client has; needs `epoch`.")
    epoch: str | None = Field(None, max_length=64, description="The epoch that `after` was counted in.")

    @model_validator(mode="after")
    def both_or_none(self) -> Self:
        """An offset alone says nothing: after a restore it may mean another event."""
        if (self.after is None) != (self.epoch is None):
            raise PydanticCustomError("together", "after and epoch are only sent together")
        return self


class Leave(InRoom):
    """End the membership, on all connections; in the default room, stop receiving on this one. Answered by `ack`."""

    type: Literal["leave"]


class Post(InRoom):
    """Say something in a joined room; the `ack` means durably stored. Repeating an id is safe: one offset."""

    type: Literal["post"]
    message: Text


class Edit(InRoom):
    """Replace the text of an own message."""

    type: Literal["edit"]
    target: Offset
    message: Text


class Delete(InRoom):
    """Delete an own message, or as owner or moderator anybody's. A tombstone keeps its offset."""

    type: Literal["delete"]
    target: Offset
    reason: Why = ""


class Typing(InRoom):
    """Show the others that a message is being written. Never answered unless it is refused; repeat every 5 seconds."""

    type: Literal["typing"]


class Read(InRoom):
    """Mark everything up to an offset as read, on all of the user's devices."""

    type: Literal["read"]
    offset: Offset


class History(InRoom):
    """Ask for one page of stored events: those before an offset (the newest without one), or those after it."""

    type: Literal["history"]
    before: Offset | None = None
    after: Offset | None = None
    limit: int = Field(50, ge=1, le=50)

    @model_validator(mode="after")
    def one_direction(self) -> Self:
        """A page has one edge."""
        if self.before is not None and self.after is not None:
            raise PydanticCustomError("direction", "Send before or after, not both")
        return self


class Members(InRoom):
    """Ask who is in the room, and who of them is there now."""

    type: Literal["members"]


class Audit(InRoom):
    """Ask for one page of the room's audit log, newest first."""

    type: Literal["audit"]
    before: int | None = Field(None, ge=1, lt=1 << 53, description="The lowest entry's id of the page before.")


class Rooms(Verb):
    """Ask for the user's own rooms, or for the public ones that can be joined."""

    type: Literal["rooms"]
    public: bool = False


class Create(Verb):
    """Make a room and be its owner; the ack names it."""

    type: Literal["create"]
    title: Title
    public: bool = False


class Invite(Concerning):
    """Let a user in."""

    type: Literal["invite"]


class Kick(Concerning):
    """Remove a user, who may come back where they can."""

    type: Literal["kick"]


class Ban(Concerning):
    """Remove a user and keep them out, for some seconds or for good."""

    type: Literal["ban"]
    seconds: Seconds | None = None


class Unban(Concerning):
    """Lift a ban."""

    type: Literal["unban"]


class Mute(Concerning):
    """Let a user read and not write, for some seconds or for good."""

    type: Literal["mute"]
    seconds: Seconds | None = None


class Unmute(Concerning):
    """Let them write again."""

    type: Literal["unmute"]


class SetRole(Concerning):
    """Give a member another role."""

    type: Literal["set_role"]
    role: GivenRole


class Rename(InRoom):
    """Give the room another title."""

    type: Literal["rename"]
    title: Title


class Configure(InRoom):
    """Set anew whatever is named; `posts_per_second` of 0 means the server's own rate."""

    type: Literal["configure"]
    public: bool | None = None
    posts_per_second: float | None = Field(None, ge=0, allow_inf_nan=False)
    slow_seconds: float | None = Field(None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def something(self) -> Self:
        """At least one field."""
        if self.public is None and self.posts_per_second is None and self.slow_seconds is None:
            raise PydanticCustomError("nothing", "Name at least one of public, posts_per_second and slow_seconds")
        return self


class Archive(InRoom):
    """Close the room for good: it can be read, not changed."""

    type: Literal["archive"]


class Unarchive(InRoom):
    """Open it again."""

    type: Literal["unarchive"]


class Refresh(Verb):
    """Replace the connection's credential by a fresh token of the same issuer and subject."""

    type: Literal["refresh"]
    token: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,8192}$")]


class Ping(Verb):
    """Ask for an `ack`: a heartbeat for clients that cannot see WebSocket pings."""

    type: Literal["ping"]


class TutorialPost(Frame):
    """The tutorial profile's only frame: a post to the default room."""

    message: Text
    id: ClientId | None = None


Changing = (
    Leave
    | Edit
    | Delete
    | Invite
    | Kick
    | Ban
    | Unban
    | Mute
    | Unmute
    | SetRole
    | Rename
    | Configure
    | Archive
    | Unarchive
)
"""Verbs that write an event into a room, beside `post` and `join`."""
Asking = History | Members | Audit | Rooms
"""Verbs that are answered by a page."""
AnyVerb = Post | Join | Typing | Read | Create | Refresh | Ping | Changing | Asking

CLIENT_FRAMES: Final[tuple[type[Verb], ...]] = (
    Join,
    Leave,
    Post,
    Edit,
    Delete,
    Typing,
    Read,
    History,
    Members,
    Audit,
    Rooms,
    Create,
    Invite,
    Kick,
    Ban,
    Unban,
    Mute,
    Unmute,
    SetRole,
    Rename,
    Configure,
    Archive,
    Unarchive,
    Refresh,
    Ping,
)
