"""The socket's language: what a client may say, what the server says, and how both look on the wire.

Two profiles share it. `chat.v1` is the full protocol; a client that offers no subprotocol speaks the tutorial's, which
is `{"message": …}` one way and `{"sender", "message", "timestamp"}` or `{"error"}` the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from app.model import DEFAULT_ROOM, Event, RoomId

SUBPROTOCOL: Final = "chat.v1"
BEARER_PREFIX: Final = "bearer."
SYSTEM: Final = "System"


class Profile(StrEnum):
    CHAT_V1 = "chat.v1"
    TUTORIAL = "tutorial"


class Invalid(StrEnum):
    """Why a frame was refused: the closed set of `messages_invalid_total{reason}`."""

    BINARY = "binary"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    NOT_OBJECT = "not_object"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_FIELD = "unknown_field"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_UNICODE = "not_unicode"
    CONTROL_CHARACTER = "control_character"
    BLANK = "blank"
    TOO_LONG = "too_long"


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


@dataclass(frozen=True, slots=True)
class Malformed:
    """A frame that means nothing here; `error` is a sentence for a person and quotes none of the input's values."""

    reason: Invalid
    error: str
    id: str | None = None

    @property
    def code(self) -> ErrorCode:
        """The error frame's code."""
        return _CODES.get(self.reason, ErrorCode.INVALID)


_CODES: Final = {Invalid.BLANK: ErrorCode.BLANK, Invalid.TOO_LONG: ErrorCode.TOO_LONG}


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
_CLIENT_ID: Final = re.compile(r"^[\x21-\x7e]{1,64}$")
ClientId = Annotated[
    str,
    Field(pattern=_CLIENT_ID.pattern, description="The client's own id of this frame; its answer repeats it."),
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


_CHAT_V1: Final[TypeAdapter[Verb]] = TypeAdapter(Annotated[Verb, Field(discriminator="type")])
_TUTORIAL: Final = TypeAdapter(TutorialPost)
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


class _DuplicateKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _DuplicateKeyError
    return fields


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def parse(text: str, profile: Profile, message_characters: int = DEFAULT_CHARACTERS) -> Verb | Malformed:
    """The verb in a text frame, or what is wrong with it. JSON per RFC 8259 with unique names and no NaN."""
    try:
        fields = _decode(text)
    except _DuplicateKeyError:
        return Malformed(Invalid.DUPLICATE_KEY, "A field appears twice")
    except RecursionError:
        return Malformed(Invalid.TOO_DEEP, "The JSON is nested too deeply")
    except ValueError:
        return Malformed(Invalid.NOT_JSON, "Invalid JSON format")
    if not isinstance(fields, dict):
        return Malformed(Invalid.NOT_OBJECT, "A frame has to be a JSON object")
    context = {"message_characters": message_characters}
    try:
        if profile is Profile.CHAT_V1:
            return _CHAT_V1.validate_python(fields, context=context)
        post = _TUTORIAL.validate_python(fields, context=context)
        return Post.model_construct(type="post", room=DEFAULT_ROOM, message=post.message, id=post.id)
    except ValidationError as error:
        return _malformed(error, fields, profile)


_KINDS: Final[dict[str, tuple[Invalid, str]]] = {
    "extra_forbidden": (Invalid.UNKNOWN_FIELD, "{field} is not a field of this frame"),
    "missing": (Invalid.MISSING_FIELD, "{field} is missing"),
    "union_tag_not_found": (Invalid.MISSING_FIELD, "type is missing"),
    "union_tag_invalid": (Invalid.UNKNOWN_TYPE, "That type of frame is not known here"),
    "string_unicode": (Invalid.NOT_UNICODE, "{field} is not valid Unicode"),
    "too_long": (Invalid.TOO_LONG, "{message}"),
    "blank": (Invalid.BLANK, "{message}"),
    "control_character": (Invalid.CONTROL_CHARACTER, "{message}"),
}


def _malformed(error: ValidationError, fields: dict[str, Any], profile: Profile) -> Malformed:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    reason, sentence = _KINDS.get(first["type"], (Invalid.WRONG_TYPE, "{field} does not have the right form"))
    # In chat.v1 the type of the frame comes first; nothing follows it where a field's name itself is at fault.
    path = first["loc"][1:] if profile is Profile.CHAT_V1 else first["loc"]
    where = _name(str(path[-1])) if path else "A field's name"
    own_id = fields.get("id")
    return Malformed(
        reason,
        sentence.format(field=where, message=first["msg"]),
        own_id if isinstance(own_id, str) and _CLIENT_ID.fullmatch(own_id) else None,
    )


def _name(field: str) -> str:
    """A field's name as it may be repeated to the client: short and printable."""
    return field[:64] if field.isascii() and field.isprintable() else "A field with an unprintable name"


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame (RFC 6455 §5.2): the same bytes serve every recipient."""
    size = len(payload)
    if size < 126:  # noqa: PLR2004
        return bytes((0x81, size)) + payload
    if size < 65_536:  # noqa: PLR2004
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def encode(fields: dict[str, Any]) -> bytes:
    """A server frame on the wire; fields that are None are left out."""
    return text_frame(orjson.dumps({name: value for name, value in fields.items() if value is not None}))


def messages(events: Iterable[Event], profile: Profile) -> bytes:
    """Events of one room as joined frames, built once for all recipients of a profile."""
    if profile is Profile.TUTORIAL:
        return b"".join(said(event.sender, event.message, event.timestamp) for event in events)
    return b"".join(
        text_frame(
            orjson.dumps(
                {
                    "type": "message",
                    "room": event.room,
                    "offset": event.offset,
                    "sender": event.sender,
                    "message": event.message,
                    "timestamp": event.timestamp,
                }
            )
        )
        for event in events
    )


def said(sender: str, message: str, timestamp: float) -> bytes:
    """A message frame of the tutorial profile."""
    return text_frame(orjson.dumps({"sender": sender, "message": message, "timestamp": timestamp}))


def notices(room: RoomId, joined: Sequence[str], left: Sequence[str], profile: Profile, now: float) -> bytes:
    """Who came and went, as one presence frame or as lines of `System`."""
    if profile is Profile.CHAT_V1:
        return encode({"type": "presence", "room": room, "joined": list(joined), "left": list(left)})
    lines = [f"User {user} has joined the chat." for user in joined] + [
        f"User {user} has left the chat." for user in left
    ]
    return b"".join(said(SYSTEM, line, now) for line in lines)


def ack(id: str | None, room: str | None = None, offset: int | None = None, expires_at: float | None = None) -> bytes:  # noqa: A002
    """An ack frame."""
    return encode({"type": "ack", "id": id, "room": room, "offset": offset, "expires_at": expires_at})


def error(
    code: ErrorCode,
    sentence: str,
    id: str | None = None,  # noqa: A002
    limit: str | None = None,
    retry_after: float | None = None,
) -> bytes:
    """An error frame; `retry_after` in seconds, rounded up to a hundredth so that waiting it is enough."""
    wait = None if retry_after is None else round(retry_after + 0.005, 2)
    return encode({"type": "error", "code": code, "error": sentence, "id": id, "limit": limit, "retry_after": wait})
