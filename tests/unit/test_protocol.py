"""What `parse` makes of any text, and how server frames look on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import protocol
from app.frames import Error
from app.model import Event, EventKind, Offset, RoomId, UserName
from app.protocol import Invalid, Malformed, Profile, parse
from app.verbs import CLIENT_FRAMES, Post, TutorialPost
from app.verdict import Denied, ErrorCode
from tests.unit.frames import frames

CANARY = "canary\u2603value"
NAMES = st.sampled_from(["type", "room", "message", "id", "token", "extra", "room_id", "\ud800", "a\0", ""])
TYPES = st.sampled_from(["join", "leave", "post", "refresh", "ping", "message", "nothing"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=600) | st.just(CANARY) | TYPES
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES | st.text(), inner), max_leaves=8)
SURROGATES = st.text(st.characters(categories=("Cs", "Lu", "Cc")), max_size=8)


@pytest.mark.parametrize("profile", Profile)
@settings(max_examples=150, deadline=None)
@given(st.text() | SURROGATES | st.dictionaries(NAMES, VALUES | SURROGATES).map(json.dumps))
def test_parse_never_raises_and_never_echoes(profile: Profile, text: str) -> None:
    """Whatever comes is a verb or a sentence; the sentence has none of the values, and an id only in its form."""
    answer = parse(text, profile)
    if isinstance(answer, Malformed):
        assert answer.error and answer.reason in Invalid and answer.code in ErrorCode
        assert CANARY not in answer.error and "canary" not in str(answer.id)
        frame = protocol.error(Denied(answer.code, sentence=answer.error), answer.id)
        [(_, payload)] = frames(frame)
        Error.model_validate_json(payload)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_parse_of_any_bytes(content: bytes) -> None:
    """Also of what decodes by accident."""
    parse(content.decode("utf-8", "replace"), Profile.CHAT_V1)
    parse(content.decode("latin-1"), Profile.TUTORIAL)


@settings(max_examples=100, deadline=None)
@given(
    st.text(
        st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u3164\u115f\u1160\uffa0\u2800"),
        min_size=1,
        max_size=500,
    )
)
def test_what_people_write_passes(message: str) -> None:
    """A message that can be seen comes through as it is, in both profiles."""
    if message.isspace():
        return
    post = parse(json.dumps({"type": "post", "room": "lobby", "message": message}), Profile.CHAT_V1)
    assert isinstance(post, Post) and post.message == message
    tutorial = parse(json.dumps({"message": message, "id": "i"}), Profile.TUTORIAL)
    assert isinstance(tutorial, Post)
    assert (tutorial.room, tutorial.message, tutorial.id) == ("lobby", message, "i")


def test_every_verb() -> None:
    """One frame of each at least, with and without id."""
    seen = set()
    for fields in (
        {"type": "join", "room": "lobby"},
        {"type": "leave", "room": "lobby", "id": "a"},
        {"type": "post", "room": "a-b_1", "message": "hi", "id": "~" * 64},
        {"type": "refresh", "token": "a.b.c"},
        {"type": "ping", "id": None},
        {"type": "join", "room": "lobby", "after": 0, "epoch": "e"},
        {"type": "edit", "room": "lobby", "target": 3, "message": "hi"},
        {"type": "delete", "room": "lobby", "target": 3, "reason": "spam"},
        {"type": "typing", "room": "lobby"},
        {"type": "read", "room": "lobby", "offset": 7},
        {"type": "history", "room": "lobby", "before": 7, "limit": 50},
        {"type": "members", "room": "lobby"},
        {"type": "audit", "room": "lobby", "before": 1},
        {"type": "rooms", "public": True},
        {"type": "create", "title": "Book club", "public": False},
        {"type": "invite", "room": "lobby", "user": "bob"},
        {"type": "kick", "room": "lobby", "user": "bob", "reason": "spam"},
        {"type": "ban", "room": "lobby", "user": "bob", "seconds": 60},
        {"type": "unban", "room": "lobby", "user": "bob"},
        {"type": "mute", "room": "lobby", "user": "bob", "seconds": 0.5},
        {"type": "unmute", "room": "lobby", "user": "bob"},
        {"type": "set_role", "room": "lobby", "user": "bob", "role": "moderator"},
        {"type": "rename", "room": "lobby", "title": "Other"},
        {"type": "configure", "room": "lobby", "slow_seconds": 0},
        {"type": "archive", "room": "lobby"},
        {"type": "unarchive", "room": "lobby"},
    ):
        verb = parse(json.dumps(fields), Profile.CHAT_V1)
        assert not isinstance(verb, Malformed), (fields, verb)
        assert verb.model_dump(exclude_unset=True) == fields
        seen.add(type(verb))
    assert seen == set(CLIENT_FRAMES)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": "join", "after": 3}, "after and epoch are only sent together"),
        ({"type": "history", "before": 3, "after": 1}, "Send before or after, not both"),
        ({"type": "configure"}, "Name at least one of public, posts_per_second and slow_seconds"),
        ({"type": "history", "limit": 51}, "limit does not have the right form"),
        ({"type": "rename", "title": " "}, "A title has to show something, without blanks around it"),
        ({"type": "rename", "title": "a\nb"}, "Only one line of printable characters is allowed here"),
        ({"type": "kick", "user": "bob", "reason": "\x1b[2J"}, "Only one line of printable characters is allowed here"),
        ({"type": "kick", "user": "bob", "reason": "x" * 201}, "reason does not have the right form"),
        ({"type": "ban", "user": "bob", "seconds": -1}, "seconds does not have the right form"),
        ({"type": "set_role", "user": "bob", "role": "banned"}, "role does not have the right form"),
        ({"type": "kick"}, "user is missing"),
        ({"type": "read", "offset": -1}, "offset does not have the right form"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_a_sentence(fields: dict[str, Any], error: str) -> None:
    """A person who writes a client reads it and knows what to do."""
    answer = parse(json.dumps({"room": "lobby", **fields}), Profile.CHAT_V1)
    assert isinstance(answer, Malformed) and answer.error == error


def test_the_longest_message_is_a_setting() -> None:
    """Counted in characters, not bytes."""
    text = json.dumps({"message": "\N{GRINNING FACE}" * 3})
    assert isinstance(parse(text, Profile.TUTORIAL, 3), Post)
    refused = parse(text, Profile.TUTORIAL, 2)
    assert isinstance(refused, Malformed)
    assert refused.error == "Message too long (max 2 characters)"
    assert TutorialPost(message="x" * 500).message


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
def test_frames_of_every_length(size: int) -> None:
    """The length takes one, three or nine bytes (RFC 6455 §5.2)."""
    assert frames(protocol.text_frame(b"x" * size)) == [(1, b"x" * size)]


def _decoded(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(payload) for _, payload in frames(data)]


def test_events_are_framed_for_both_profiles() -> None:
    """Several events are as many frames in one piece."""
    events = [Event(RoomId("lobby"), Offset(n), UserName("ann"), f"m{n}", 1.5) for n in (1, 2)]
    assert _decoded(protocol.events(events, Profile.CHAT_V1))[1] == {
        "type": "message",
        "room": "lobby",
        "offset": 2,
        "sender": "ann",
        "message": "m2",
        "timestamp": 1.5,
    }
    assert _decoded(protocol.events(events, Profile.TUTORIAL)) == [
        {"sender": "ann", "message": f"m{n}", "timestamp": 1.5} for n in (1, 2)
    ]


def test_other_events_have_their_own_frames_and_none_in_the_tutorials_profile() -> None:
    """The facts stand beside what all events have; a tombstone has no text to send."""
    facts = {"change": "kicked", "user": "bob", "reason": "spam"}
    kicked = Event(RoomId("lobby"), Offset(3), UserName("ann"), "", 1.5, EventKind.MEMBER, facts)
    gone = Event(RoomId("lobby"), Offset(4), UserName("ann"), "", 1.5, EventKind.MESSAGE, {"deleted": True})
    one, two = _decoded(protocol.events([kicked, gone], Profile.CHAT_V1))
    assert one == {"type": "member", "room": "lobby", "offset": 3, "sender": "ann", "timestamp": 1.5, **facts}
    assert (two["type"], two["message"], two["deleted"]) == ("message", "", True)
    assert protocol.events([kicked, gone], Profile.TUTORIAL) == b""


def test_notices_are_framed_for_both_profiles() -> None:
    """One presence frame, or one line of System for each."""
    room, names = RoomId("lobby"), ([UserName("ann")], [UserName("bob")])
    assert _decoded(protocol.notices(room, *names, Profile.CHAT_V1, 2.0)) == [
        {"type": "presence", "room": "lobby", "joined": ["ann"], "left": ["bob"]}
    ]
    assert [line["message"] for line in _decoded(protocol.notices(room, *names, Profile.TUTORIAL, 2.0))] == [
        "User ann has joined the chat.",
        "User bob has left the chat.",
    ]


def test_waiting_retry_after_is_enough() -> None:
    """It is rounded up; what is None is left out."""
    [frame] = _decoded(protocol.error(Denied(ErrorCode.RATE_LIMITED, 0.1234, "posts_per_user"), "i"))
    assert (frame["retry_after"], frame["limit"]) == (0.13, "posts_per_user")
    assert frame["error"] == "Rate limit exceeded. Please wait before sending more messages."
    assert _decoded(protocol.ack("i")) == [{"type": "ack", "id": "i"}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"message":"a","message":"b"}', Invalid.DUPLICATE_KEY),
        ("[" * 5000, Invalid.TOO_DEEP),
        ("[" * 33 + "]" * 33, Invalid.TOO_DEEP),
        ("[" * 32 + "]" * 32, Invalid.NOT_OBJECT),
        ("[" + "[]," * 40 + "[]]", Invalid.NOT_OBJECT),
        ('{"message":"\\u200b","id":"' + "[" * 40 + '"}', Invalid.BLANK),
        ('["\\"' + "[" * 40 + '"]', Invalid.NOT_OBJECT),
        ('"' + '\\"' * 8000 + "[" * 40, Invalid.NOT_JSON),
        ("{", Invalid.NOT_JSON),
        ('{"message":NaN}', Invalid.NOT_JSON),
        ("[]", Invalid.NOT_OBJECT),
        ('{"message":"\\ud800"}', Invalid.NOT_UNICODE),
        ('{"message":"\\u0007"}', Invalid.CONTROL_CHARACTER),
        ('{"message":"\\u200b"}', Invalid.BLANK),
        ('{"\\ud800":1}', Invalid.NOT_UNICODE),
    ],
)
def test_what_is_wrong_is_told(text: str, reason: Invalid) -> None:
    """The reason is the first that applies. Every kind, with its sentence and counter: tests/socket/test_frames.py."""
    answer = parse(text, Profile.TUTORIAL)
    assert isinstance(answer, Malformed) and answer.reason is reason
