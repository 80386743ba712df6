"""The frames of the socket: what a client may say and what the server says, as models.

They parse what clients send, describe both directions in the AsyncAPI document, and tests hold every frame that the
server sends against them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError


class ErrorCode(StrEnum):
    """The `code` of an error frame: what a client program can act on."""

    INVALID = "invalid"
    BLANK = "blank"
    TOO_LONG = "too_long"
    RATE_LIMITED = "rate_limited"
    ROOM_UNKNOWN = "room_unknown"
    ROOM_FULL = "room_full"
    NOT_JOINED = "not_joined"
    BUSY = "busy"
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_REUSED = "token_reused"  # noqa: S105


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


class _Frame(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Join(_Frame):
    """Become a live member of a room; answered by `joined`."""

    type: Literal["join"]
    room: Room
    id: ClientId | None = None


class Leave(_Frame):
    """Stop receiving a room's events; answered by `ack`."""

    type: Literal["leave"]
    room: Room
    id: ClientId | None = None


class Post(_Frame):
    """Say something in a joined room; the `ack` means durably stored. Repeating an id is safe: one offset."""

    type: Literal["post"]
    room: Room
    message: Text
    id: ClientId | None = None


class Refresh(_Frame):
    """Replace the connection's credential by a fresh token of the same issuer and subject."""

    type: Literal["refresh"]
    token: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,8192}$")]
    id: ClientId | None = None


class Ping(_Frame):
    """Ask for an `ack`: a heartbeat for clients that cannot see WebSocket pings."""

    type: Literal["ping"]
    id: ClientId | None = None


class TutorialPost(_Frame):
    """The tutorial profile's only frame: a post to the default room."""

    message: Text
    id: ClientId | None = None


Verb = Join | Leave | Post | Refresh | Ping


CLIENT_FRAMES: Final[tuple[type[_Frame], ...]] = (Join, Leave, Post, Refresh, Ping)


class Message(_Frame):
    """A stored post. Offsets of a room are consecutive."""

    type: Literal["message"] = "message"
    room: Room
    offset: int = Field(ge=1)
    sender: str
    message: str
    timestamp: float = Field(description="Unix seconds.")


class TutorialMessage(_Frame):
    """The same in the tutorial profile; `System` speaks for the server."""

    sender: str
    message: str
    timestamp: float = Field(description="Unix seconds.")


class Ack(_Frame):
    """The frame with this id was carried out; for a post: durably stored at this offset."""

    type: Literal["ack"] = "ack"
    id: ClientId | None = None
    room: Room | None = None
    offset: int | None = Field(None, ge=1)
    expires_at: float | None = Field(None, description="After a refresh: when the new credential ends, Unix seconds.")


class Error(_Frame):
    """The frame with this id was not carried out. With `retry_after`, the same frame may pass after so many seconds."""

    type: Literal["error"] = "error"
    code: ErrorCode
    error: str = Field(description="A sentence for a person.")
    id: ClientId | None = None
    limit: str | None = Field(None, description="The limit that was reached.")
    retry_after: float | None = Field(None, description="Seconds.")


class Joined(_Frame):
    """The connection is a live member now; the next event has the next offset."""

    type: Literal["joined"] = "joined"
    room: Room
    offset: int = Field(ge=0)
    epoch: str = Field(description="Offsets of another epoch mean nothing in this one.")
    recovered: bool
    role: Literal["owner", "moderator", "member"]
    id: ClientId | None = None


class Presence(_Frame):
    """Who came and went lately. Ephemeral: no offset, coalesced, left out in large rooms."""

    type: Literal["presence"] = "presence"
    room: Room
    joined: list[str]
    left: list[str]


class Expiring(_Frame):
    """The credential ends soon: send `refresh`, or be closed with 4001."""

    type: Literal["expiring"] = "expiring"
    expires_at: float = Field(description="Unix seconds.")


class GoingAway(_Frame):
    """The server restarts: the connection will be closed with 1012; reconnect after so many seconds."""

    type: Literal["going_away"] = "going_away"
    retry_after: float = Field(description="Seconds, spread over the clients.")


SERVER_FRAMES: Final[tuple[type[_Frame], ...]] = (Message, Ack, Error, Joined, Presence, Expiring, GoingAway)
