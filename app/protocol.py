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
from typing import Annotated, Any, Final

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from app import fields
from app.model import DEFAULT_ROOM, Event, EventKind, RoomId
from app.verbs import CLIENT_ID, DEFAULT_CHARACTERS, AnyVerb, Post, TutorialPost
from app.verdict import Denied, ErrorCode

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


_CHAT_V1: Final[TypeAdapter[AnyVerb]] = TypeAdapter(Annotated[AnyVerb, Field(discriminator="type")])
_TUTORIAL: Final = TypeAdapter(TutorialPost)


class _DuplicateKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _DuplicateKeyError
    return fields


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _too_deep(text: str) -> bool:
    """What an interpreter can nest differs between versions: from 3.13 on, a whole frame of brackets."""
    if text.count("[") + text.count("{") <= _LEVELS:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _LEVELS:
            return True
    return False


_LEVELS: Final = 32
"""No frame of ours has more than three."""
_STRING = re.compile(r'"(?:[^"\\]|\\(?:.|\Z))*+(?:"|\Z)', re.DOTALL)
"""A string, or what is there of it: it matches wherever it begins, so that no text is looked through twice."""
_BRACKET = re.compile(r"[\[\]{}]")
_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def parse(text: str, profile: Profile, message_characters: int = DEFAULT_CHARACTERS) -> AnyVerb | Malformed:
    """The verb in a text frame, or what is wrong with it. JSON per RFC 8259 with unique names, no NaN, 32 levels."""
    if _too_deep(text):
        return Malformed(Invalid.TOO_DEEP, "The JSON is nested too deeply")
    try:
        decoded = _decode(text)
    except _DuplicateKeyError:
        return Malformed(Invalid.DUPLICATE_KEY, "A field appears twice")
    except ValueError:
        return Malformed(Invalid.NOT_JSON, "Invalid JSON format")
    if not isinstance(decoded, dict):
        return Malformed(Invalid.NOT_OBJECT, "A frame has to be a JSON object")
    return verb(decoded, profile, message_characters)


def verb(
    given: dict[str, Any], profile: Profile = Profile.CHAT_V1, message_characters: int = DEFAULT_CHARACTERS
) -> AnyVerb | Malformed:
    """The verb that an object's fields say, or what is wrong with them."""
    context = {"message_characters": message_characters}
    try:
        if profile is Profile.CHAT_V1:
            return _CHAT_V1.validate_python(given, context=context)
        post = _TUTORIAL.validate_python(given, context=context)
        return Post.model_construct(type="post", room=DEFAULT_ROOM, message=post.message, id=post.id)
    except ValidationError as error:
        return _malformed(error, given, profile)


_KINDS: Final[dict[str, tuple[Invalid, str]]] = {
    "extra_forbidden": (Invalid.UNKNOWN_FIELD, "{field} is not a field of this frame"),
    "missing": (Invalid.MISSING_FIELD, "{field} is missing"),
    "union_tag_not_found": (Invalid.MISSING_FIELD, "type is missing"),
    "union_tag_invalid": (Invalid.UNKNOWN_TYPE, "That type of frame is not known here"),
    "string_unicode": (Invalid.NOT_UNICODE, "{field} is not valid Unicode"),
    "too_long": (Invalid.TOO_LONG, "{message}"),
    "blank": (Invalid.BLANK, "{message}"),
    "control_character": (Invalid.CONTROL_CHARACTER, "{message}"),
    "together": (Invalid.MISSING_FIELD, "{message}"),
    "direction": (Invalid.WRONG_TYPE, "{message}"),
    "nothing": (Invalid.MISSING_FIELD, "{message}"),
}


def _malformed(error: ValidationError, given: dict[str, Any], profile: Profile) -> Malformed:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    reason, sentence = _KINDS.get(first["type"], (Invalid.WRONG_TYPE, "{field} does not have the right form"))
    # In chat.v1 the type of the frame comes first; nothing follows it where a field's name itself is at fault.
    path = first["loc"][1:] if profile is Profile.CHAT_V1 else first["loc"]
    where = _name(str(path[-1])) if path else "A field's name"
    own_id = given.get("id")
    return Malformed(
        reason,
        sentence.format(field=where, message=first["msg"]),
        own_id if isinstance(own_id, str) and CLIENT_ID.fullmatch(own_id) else None,
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


def events(group: Iterable[Event], profile: Profile) -> bytes:
    """Events of one room as joined frames, built once for all recipients of a profile; the tutorial's has messages."""
    if profile is Profile.TUTORIAL:
        return b"".join(
            said(event.sender, event.message, event.timestamp)
            for event in group
            if event.kind is EventKind.MESSAGE and event.message
        )
    return b"".join(text_frame(orjson.dumps(fields.event(event))) for event in group)


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


def error(denied: Denied, id: str | None = None, room: str | None = None) -> bytes:  # noqa: A002
    """An error frame; `retry_after` in seconds, rounded up to a hundredth so that waiting it is enough."""
    return encode({"type": "error", "id": id, "room": room, **fields.error(denied)})


def typing(room: RoomId, users: Sequence[str]) -> bytes:
    """Who is writing, for chat.v1."""
    return encode({"type": "typing", "room": room, "users": list(users)})
