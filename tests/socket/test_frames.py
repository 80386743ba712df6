"""What a client sends: every kind of bad frame, its sentence, its code and its counter, in both profiles."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from app.wire import LINGER
from tests.socket.raw import BINARY, CONT, PING, PONG, TEXT, Raw
from tests.socket.server import Client, Server, conforms, new_address, new_name

ASTRAL = "\N{GRINNING FACE}"
POST = {"type": "post", "room": "lobby", "message": "hi"}

Case = tuple[str, str, str, str]
"""A frame, its reason in the metrics, the error frame's code and its sentence."""


def no_json(text: str) -> Case:
    return text, "not_json", "invalid", "Invalid JSON format"


def too_deep(text: str) -> Case:
    return text, "too_deep", "invalid", "The JSON is nested too deeply"


def twice(text: str) -> Case:
    return text, "duplicate_key", "invalid", "A field appears twice"


def no_object(text: str) -> Case:
    return text, "not_object", "invalid", "A frame has to be a JSON object"


def missing(field: str, text: str) -> Case:
    return text, "missing_field", "invalid", f"{field} is missing"


def unknown_type(text: str) -> Case:
    return text, "unknown_type", "invalid", "That type of frame is not known here"


def unknown(field: str, text: str) -> Case:
    return text, "unknown_field", "invalid", f"{field} is not a field of this frame"


def misformed(field: str, text: str) -> Case:
    return text, "wrong_type", "invalid", f"{field} does not have the right form"


CHAT_V1: dict[str, Case] = {
    "no JSON": no_json("hello"),
    "empty": no_json(""),
    "half": no_json('{"type":"ping"'),
    "trailing": no_json('{"type":"ping"} {}'),
    "NaN": no_json('{"type":"ping","id":NaN}'),
    "Infinity": no_json('{"type":"ping","id":-Infinity}'),
    "huge integer": no_json('{"type":"ping","id":' + "9" * 15_000 + "}"),
    "bare control character": no_json('{"type":"ping","id":"\x01"}'),
    "deep": too_deep("[" * 8000 + "]" * 8000),
    "deep objects": too_deep('{"a":' * 2500 + "1" + "}" * 2500),
    "duplicate key": twice('{"type":"ping","type":"ping"}'),
    "duplicate key inside": twice('{"type":"ping","id":{"a":1,"a":2}}'),
    "array": no_object("[]"),
    "string": no_object('"hi"'),
    "null": no_object("null"),
    "no type": missing("type", "{}"),
    "the tutorial's frame": missing("type", '{"message":"hi"}'),
    "no room": missing("room", '{"type":"join"}'),
    "unknown type": unknown_type('{"type":"shutdown"}'),
    "type of a wrong type": unknown_type('{"type":1}'),
    "type with a surrogate": unknown_type('{"type":"\\ud800"}'),
    "server's type": unknown_type('{"type":"message"}'),
    "unknown field": unknown("admin", '{"type":"ping","admin":true}'),
    "room_id": unknown("room_id", json.dumps({**POST, "room_id": "lobby"})),
    "sender": unknown("sender", json.dumps({**POST, "sender": "System"})),
    "unprintable field": unknown("A field with an unprintable name", json.dumps({"type": "ping", "a\u202eb": 1})),
    "field with a surrogate": (
        '{"type":"ping","\\ud800":1}',
        "not_unicode",
        "invalid",
        "A field's name is not valid Unicode",
    ),
    "room of a wrong form": misformed("room", '{"type":"join","room":"Lobby/.."}'),
    "room with NUL": misformed("room", '{"type":"join","room":"lobby\\u0000"}'),
    "room with newline": misformed("room", '{"type":"join","room":"lobby\\n"}'),
    "message of a wrong type": misformed("message", json.dumps({**POST, "message": 1})),
    "message null": misformed("message", json.dumps({**POST, "message": None})),
    "float beyond range": misformed("id", '{"type":"ping","id":1e999}'),
    "id with a space": misformed("id", '{"type":"ping","id":"a b"}'),
    "empty id": misformed("id", '{"type":"ping","id":""}'),
    "id too long": misformed("id", json.dumps({"type": "ping", "id": "a" * 65})),
    "id that is a list": misformed("id", '{"type":"ping","id":[]}'),
}


def control(message: str) -> Case:
    return message, "control_character", "invalid", "Message cannot contain control characters"


def too_long(message: str) -> Case:
    return message, "too_long", "too_long", "Message too long (max 500 characters)"


def blank(message: str) -> Case:
    return message, "blank", "blank", "Message cannot be empty"


def no_unicode(message: str) -> Case:
    return message, "not_unicode", "invalid", "message is not valid Unicode"


MESSAGES: dict[str, Case] = {
    "NUL": control("a\0b"),
    "escape": control("\x1b[31m"),
    "C1 control": control("a\x9bb"),
    "carriage return": control("a\rb"),
    "501 characters": too_long("a" * 501),
    "501 astral characters": too_long(ASTRAL * 501),
    "empty": blank(""),
    "spaces": blank(" \t\n "),
    "no-break space": blank("\u00a0\u2003\u3000"),
    "zero-width only": blank("\u200b\u200d\ufeff\u2060"),
    "fillers that show nothing": blank("\u3164\u115f\u2800\ufe0f\u034f"),
    "lone surrogate": no_unicode("\ud800"),
    "surrogates in the wrong order": no_unicode("\ude00\ud83d"),
}


async def member(server: Server, *, tutorial: bool = False) -> Client:
    """A new user's connection, as one that may post."""
    client = await server.connect(await server.token(new_name()), address=new_address(), tutorial=tutorial)
    if not tutorial:
        await client.join()
    return client


async def refused(server: Server, client: Client, text: str, expected: tuple[str, str, str]) -> dict[str, Any]:
    """One frame, answered by an error with that code and sentence, counted once under its reason."""
    before = server.counts()
    await client.socket.send(text)
    while "error" not in (frame := await client.receive()):
        pass
    reason, code, sentence = expected
    assert (frame["code"], frame["error"]) == (code, sentence)
    changed = server.counts() - before
    assert {name: count for name, count in changed.items() if name.startswith("messages_")} == {
        f"messages_invalid_total{{reason={reason}}}": 1,
        "messages_total{outcome=invalid}": 1,
    }
    return frame


@pytest.mark.parametrize("case", CHAT_V1.values(), ids=CHAT_V1)
async def test_bad_frames(usual: Server, case: Case) -> None:
    """Each is refused for its own reason, and the connection goes on."""
    client = await member(usual)
    await refused(usual, client, case[0], case[1:])
    await client.send(type="ping", id="still")
    assert (await client.until(id="still"))["type"] == "ack"


@pytest.mark.parametrize("tutorial", [False, True], ids=["chat.v1", "tutorial"])
@pytest.mark.parametrize("case", MESSAGES.values(), ids=MESSAGES)
async def test_bad_messages(usual: Server, case: Case, tutorial: bool) -> None:
    """The same in both profiles; the error repeats the id."""
    client = await member(usual, tutorial=tutorial)
    fields = {"message": case[0], "id": "m1"} if tutorial else {**POST, "message": case[0], "id": "m1"}
    assert (await refused(usual, client, json.dumps(fields), case[1:]))["id"] == "m1"


TUTORIAL: dict[str, Case] = {
    "no JSON": no_json("hello"),
    "no message": missing("message", "{}"),
    "room_id": unknown("room_id", '{"message":"hi","room_id":"1"}'),
    "chat.v1's frame": unknown("type", json.dumps(POST)),
    "wrong type": misformed("message", '{"message":["hi"]}'),
    "deep": too_deep("[" * 8000),
    "field with a surrogate": ('{"\\ud800":1}', "not_unicode", "invalid", "A field's name is not valid Unicode"),
}


@pytest.mark.parametrize("case", TUTORIAL.values(), ids=TUTORIAL)
async def test_bad_frames_of_the_tutorial_profile(usual: Server, case: Case) -> None:
    """What its client reads is `error`, and the connection goes on."""
    client = await member(usual, tutorial=True)
    await refused(usual, client, case[0], case[1:])
    await client.send(message="still")
    await client.until(message="still")


async def test_binary_frames(usual: Server) -> None:
    """Nobody here speaks binary, not even JSON in bytes."""
    for tutorial in (False, True):
        client = await member(usual, tutorial=tutorial)
        before = usual.counts()
        await client.socket.send(b'{"type":"ping"}')
        while "error" not in (frame := await client.receive()):
            pass
        assert frame["error"] == "Binary frames are not understood here, send text"
        assert (usual.counts() - before)["messages_invalid_total{reason=binary}"] == 1


async def test_good_messages(usual: Server) -> None:
    """500 characters are 500 code points, and what people write passes: newlines, tabs, joined emoji, right-to-left."""
    client = await member(usual)
    family = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
    for message in (ASTRAL * 500, "a" * 500, f"line\n\ttab {family}", "\u05e9\u05dc\u05d5\u05dd \u200fx", "<b>&amp;"):
        client = await member(usual)
        assert (await client.post(message))["type"] == "ack"
        assert (await client.until(type="message"))["message"] == message


async def test_a_refused_frame_tells_nothing_of_its_values(usual: Server) -> None:
    """An error quotes field names at most, never what was in them."""
    client = await member(usual)
    for field in ("type", "room", "message", "id", "extra"):
        await client.socket.send(json.dumps({**POST, field: "canary value \0"}))
        while (frame := await client.receive()).get("type") != "error":
            pass
        assert "canary" not in json.dumps({name: value for name, value in frame.items() if name != "id"})
        assert "canary" not in str(frame.get("id", ""))


async def raw_member(server: Server) -> Raw:
    """A raw connection of a new user that has joined."""
    raw = await Raw.open(server)
    await raw.connect(await server.token(new_name()), new_address())
    raw.send(type="join", room="lobby")
    await raw.until(type="joined")
    return raw


async def closes(server: Server, raw: Raw, code: int, reason: str | None = None) -> None:
    """The server closes with this code, once, and counts it."""
    before = server.counts()
    await raw.writer.drain()
    closed = await raw.closed()
    assert closed[0] == code
    assert reason is None or closed[1] == reason
    raw.frame(8, code.to_bytes(2, "big"))
    assert await raw.reader.read() == b""
    assert (server.counts() - before)[f"closes_total{{code={code}}}"] <= 1


async def test_broken_utf8(usual: Server) -> None:
    """1007 (RFC 6455 §8.1), also when the break is in a later fragment or a character is cut off."""
    for frames in (
        [(TEXT, b"\xff", True)],
        [(TEXT, b'{"a', False), (CONT, b"\xc3\x28", True)],
        [(TEXT, b"\xe2\x82", True)],
    ):
        raw = await raw_member(usual)
        for opcode, payload, fin in frames:
            raw.frame(opcode, payload, fin=fin)
        await closes(usual, raw, 1007, "bad_text")


async def test_too_big(usual: Server) -> None:
    """16 KiB pass, one byte more closes with 1009, in one frame or in fragments; binary as well."""
    raw = await raw_member(usual)
    raw.frame(TEXT, b'{"type":"ping","id":"full"' + b" " * (16_384 - 27) + b"}")
    assert (await raw.until(id="full"))["type"] == "ack"
    raw.frame(TEXT, b" " * 16_385)
    await closes(usual, raw, 1009)
    for opcode, size in ((TEXT, 17 * 1024), (BINARY, 70_000)):
        raw = await raw_member(usual)
        raw.frame(opcode, b" " * size)
        await closes(usual, raw, 1009)
    raw = await raw_member(usual)
    raw.frame(TEXT, b" " * 10_000, fin=False)
    raw.frame(CONT, b" " * 6_385, fin=False)
    await closes(usual, raw, 1009)


async def test_who_is_still_sending_is_told_that_it_is_too_big(usual: Server) -> None:
    """What is left of the frame is taken, or the edge could not hand it over and would drop the close frame for it."""
    raw = await raw_member(usual)
    assert await raw.overflows() == 1009


@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "one byte"])
async def test_a_flood_of_fragments(usual: Server, payload: bytes) -> None:
    """Fragments are frames: a message that never ends is a flood."""
    raw = await raw_member(usual)
    raw.frame(TEXT, b'{"type":"', fin=False)
    for _ in range(100):
        raw.frame(CONT, payload, fin=False)
    await closes(usual, raw, 4500, "flood")


async def test_who_answers_amid_a_message_is_let_go_at_once(usual: Server) -> None:
    """There even the right close frame breaks the protocol; of three the quickest did not run into the bound."""
    took = []
    for _ in range(3):
        raw = await raw_member(usual)
        raw.frame(TEXT, b'{"type":"', fin=False)
        for _ in range(100):
            raw.frame(CONT, b"x", fin=False)
        assert (await raw.closed())[0] == 4500
        began = time.monotonic()
        raw.frame(8, (4500).to_bytes(2, "big"))
        assert await raw.reader.read() == b""
        took.append(time.monotonic() - began)
    assert min(took) < LINGER / 2


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["ping", "pong"])
async def test_a_flood_of_control_frames(usual: Server, opcode: int) -> None:
    """So are pings, and pongs that nobody asked for."""
    before = usual.counts()
    raw = await raw_member(usual)
    for _ in range(100):
        raw.frame(opcode, b"x")
    await closes(usual, raw, 4500, "flood")
    assert (usual.counts() - before)["messages_throttled_total{limit=frames_per_connection}"] == 21


async def test_a_fragmented_message_is_one_message(usual: Server) -> None:
    """With a ping in between, as RFC 6455 §5.4 allows."""
    raw = await raw_member(usual)
    raw.frame(TEXT, b'{"type":"pi', fin=False)
    raw.frame(PING, b"in between")
    raw.frame(CONT, b"", fin=False)
    raw.frame(CONT, b'ng","id":"parts"}')
    opcode, payload = await raw.read()
    while opcode != PONG:
        opcode, payload = await raw.read()
    assert payload == b"in between"
    assert (await raw.until(id="parts"))["type"] == "ack"


BROKEN = {
    "reserved opcode": b"\x83\x80\0\0\0\0",
    "reserved bit": b"\xc1\x80\0\0\0\0",
    "unmasked": b"\x81\x02{}",
    "fragmented ping": b"\x09\x80\0\0\0\0",
    "ping of 126 bytes": b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126,
    "continuation of nothing": b"\x80\x80\0\0\0\0",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
async def test_frames_that_break_the_protocol(usual: Server, content: bytes) -> None:
    """1002 (RFC 6455 §7.4.1)."""
    raw = await raw_member(usual)
    raw.writer.write(content)
    await closes(usual, raw, 1002)


async def test_the_eleventh_malformed_frame_closes(usual: Server) -> None:
    """Ten in a minute are answered, of whatever kind."""
    raw = await raw_member(usual)
    before = usual.counts()
    for number in range(11):
        raw.frame(*((BINARY, b"x") if number % 2 else (TEXT, b"x")))
    answers = []
    while (frame := await raw.read())[0] == TEXT:
        answers.append(conforms(frame[1], tutorial=False))
    assert [answer["code"] for answer in answers if answer["type"] == "error"] == ["invalid"] * 10
    assert (int.from_bytes(frame[1][:2], "big"), frame[1][2:]) == (4505, b"malformed")
    assert (usual.counts() - before)["messages_total{outcome=invalid}"] == 11
