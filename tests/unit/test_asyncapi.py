"""The AsyncAPI document describes exactly the frames that the models take and make."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it has no stubs of its own
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import protocol
from app.asyncapi import document
from app.frames import SERVER_FRAMES
from app.model import Event, EventKind, Offset, RoomId, UserName
from app.protocol import Malformed, Profile, parse
from app.verbs import CLIENT_FRAMES
from app.verdict import CLOSES, REASONS, Denied, ErrorCode
from tests.unit.frames import frames

DOCUMENT = document()


def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **DOCUMENT})


def _resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for item in node.values() for found in _references(item)]


def test_it_is_whole() -> None:
    """Every reference leads somewhere, every frame is a message of an operation, every reason and code is told."""
    assert all(_resolve(reference) for reference in _references(DOCUMENT))
    sent = {ref["$ref"].rpartition("/")[2] for ref in DOCUMENT["operations"]["send"]["messages"]}
    assert sent == {model.__name__ for model in CLIENT_FRAMES} | {"TutorialPost"}
    received = {ref["$ref"].rpartition("/")[2] for ref in DOCUMENT["operations"]["receive"]["messages"]}
    assert received == {model.__name__ for model in SERVER_FRAMES} | {"TutorialMessage"}
    text = DOCUMENT["info"]["description"]
    assert all(f"`{reason}`" in text for reason in REASONS)
    assert all(f"{int(code)} `{word}`" in text for code, (word, _) in CLOSES.items())
    json.dumps(DOCUMENT)


def _told(kind: EventKind, message: str, **facts: Any) -> bytes:
    event = Event(RoomId("lobby"), Offset(1), UserName("ann"), message, 1.5, kind, facts or None)
    return protocol.events([event], Profile.CHAT_V1)


SERVER = {
    "Message": _told(EventKind.MESSAGE, "hi")
    + _told(EventKind.MESSAGE, "hi", edited_at=1.5)
    + _told(EventKind.MESSAGE, "", deleted=True),
    "Edited": _told(EventKind.EDITED, "hi", target=3) + _told(EventKind.EDITED, "", target=3, deleted=True),
    "Deleted": _told(EventKind.DELETED, "", target=3, reason="spam"),
    "MemberChanged": _told(EventKind.MEMBER, "", change="banned", user="bob", until=9.5, reason="spam"),
    "RoomChanged": _told(EventKind.ROOM, "", change="configured", public=False, slow_seconds=0.0),
    "TypingNow": protocol.typing(RoomId("lobby"), ["ann"]),
    "TutorialMessage": protocol.said("System", "hi", 1.5),
    "Ack": protocol.ack("a", "lobby", 1) + protocol.ack(None) + protocol.ack("a", expires_at=1.5),
    "Error": protocol.error(Denied(ErrorCode.RATE_LIMITED, 0.5, "posts_per_user"), "a")
    + protocol.error(Denied(ErrorCode.REMOVED), room="lobby"),
    "Presence": protocol.notices(RoomId("lobby"), ["ann"], [], Profile.CHAT_V1, 1.5),
}


@pytest.mark.parametrize("name", SERVER)
def test_server_frames_are_as_described(name: str) -> None:
    """Those that `protocol` builds; the others are checked where a real server sends them."""
    for _, payload in frames(SERVER[name]):
        _validator(name).validate(json.loads(payload))
        with pytest.raises(jsonschema.ValidationError):
            _validator(name).validate({**json.loads(payload), "more": 1})


FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["join", "leave", "post", "ping", "read", "typing", "members", "archive", "history"])},
    optional={
        "room": st.sampled_from(["lobby", "Lobby", "a" * 33, "", 1, None]),
        "message": st.sampled_from(["hi", 1, None]),
        "id": st.sampled_from(["a", "", "a b", "a" * 65, 1, None]),
        "offset": st.sampled_from([0, 7, -1, 1 << 53, 1.5, "1", None]),
        "limit": st.sampled_from([1, 50, 51, 0, "1", None]),
        "room_id": st.just("lobby"),
    },
)


@settings(max_examples=300, deadline=None)
@given(FIELDS)
def test_the_schema_takes_what_the_server_takes(fields: dict[str, Any]) -> None:
    """Neither more nor less (a message's text has rules that JSON Schema cannot say)."""
    name = str(fields["type"]).capitalize()
    described = _validator(name).is_valid(fields)
    assert described == (not isinstance(parse(json.dumps(fields), Profile.CHAT_V1), Malformed))
