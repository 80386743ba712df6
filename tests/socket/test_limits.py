"""Each limit of the design, reached exactly, with a retry_after that is enough; and whom it does not touch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.patience import until
from tests.socket.conftest import WIDE, Serve
from tests.socket.raw import TEXT, Raw
from tests.socket.server import ORIGIN, PASSWORD, Client, Server, new_address, new_name, running

THROTTLED = "Rate limit exceeded. Please wait before sending more messages."


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Limits that the defaults would need hundreds of users to reach."""
    limits = {
        "posts_per_room_per_second": "10",
        "posts_per_room_burst": "20",
        "throttles_per_minute": "3",
        "frames_per_connection_burst": "20",
        "frames_per_connection_per_second": "10",
        "cooldown_seconds": "1",
    }
    with running(tmp_path_factory.mktemp("narrow"), **(WIDE | limits)) as started:
        yield started


async def member(server: Server, name: str, address: str | None = None) -> Client:
    """A user's connection that has joined."""
    client = await server.connect(await server.token(name), address=address or new_address())
    await client.join()
    return client


def is_throttle(frame: dict[str, Any], limit: str) -> float:
    """Seconds to wait, once the frame is a proper throttle of that limit."""
    assert (frame["type"], frame["code"], frame["error"]) == ("error", "rate_limited", THROTTLED), frame
    assert frame["limit"] == limit
    assert frame["retry_after"] > 0
    return float(frame["retry_after"])


async def test_posts_per_user(usual: Server) -> None:
    """Five at once, then one a second, over all the user's connections; retry_after is honest, others are not hit."""
    name, address = new_name(), new_address()
    one, two = await member(usual, name, address), await member(usual, name)
    bystander = await member(usual, new_name(), address)
    begun = time.monotonic()
    answers = [await (one, two)[number % 2].post("hi") for number in range(6)]
    if time.monotonic() - begun < 1:
        assert [answer["type"] for answer in answers] == ["ack"] * 5 + ["error"]
        wait = is_throttle(answers[5], "posts_per_user")
        assert wait <= 1
        assert (await bystander.post("hi"))["type"] == "ack"
        await asyncio.sleep(wait)
        assert (await two.post("hi"))["type"] == "ack"


async def test_never_more_than_burst_and_rate(usual: Server) -> None:
    """At most 5 + T posts are taken in any T seconds, and as many are when they are asked for."""
    client = await member(usual, new_name())
    begun, accepted = time.monotonic(), 0
    while time.monotonic() - begun < 3:
        answer = await client.post("hi")
        if answer["type"] == "ack":
            accepted += 1
        else:
            await asyncio.sleep(is_throttle(answer, "posts_per_user"))
    assert 7 <= accepted <= 5 + (time.monotonic() - begun)


async def test_posts_per_room(narrow: Server) -> None:
    """Over all its members, whoever posts."""
    one, two = await member(narrow, new_name()), await member(narrow, new_name())
    begun, accepted = time.monotonic(), 0
    while (answer := await (one, two)[accepted % 2].post("hi"))["type"] == "ack":
        accepted += 1
    elapsed = time.monotonic() - begun
    assert 20 <= accepted <= 20 + 10 * elapsed
    await asyncio.sleep(is_throttle(answer, "posts_per_room"))
    assert (await two.post("hi"))["type"] == "ack"


async def test_frames_per_connection(usual: Server) -> None:
    """Twenty at once of any kind, then ten a second; the user's other connections are not hit."""
    name = new_name()
    token = await usual.token(name)
    one, two = await usual.connect(token, address=new_address()), await usual.connect(token, address=new_address())
    begun = time.monotonic()
    for number in range(30):
        await one.send(type="ping", id=str(number))
    answers = [await one.receive() for _ in range(30)]
    taken = [answer for answer in answers if answer["type"] == "ack"]
    assert 20 <= len(taken) <= 20 + 10 * (time.monotonic() - begun) + 1
    assert is_throttle(answers[-1], "frames_per_connection") <= 0.2
    await two.send(type="ping", id="other")
    assert (await two.receive())["id"] == "other"
    await asyncio.sleep(answers[-1]["retry_after"])
    await one.send(type="ping", id="again")
    assert (await one.receive())["id"] == "again"


async def test_bytes_per_user(usual: Server) -> None:
    """64 KiB at once, then 16 KiB a second, over all the user's connections, blanks included."""
    name = new_name()
    token = await usual.token(name)
    one, two = await usual.connect(token, address=new_address()), await usual.connect(token, address=new_address())
    full = json.dumps({"type": "ping", "id": "b"}).ljust(16_384)
    answers = []
    for number in range(6):
        client = (one, two)[number % 2]
        await client.socket.send(full)
        answers.append(await client.until(id="b"))
    assert [answer["type"] for answer in answers[:4]] == ["ack"] * 4
    throttle = next(answer for answer in answers if answer["type"] == "error")
    wait = is_throttle(throttle, "bytes_per_user")
    assert wait <= 1
    await asyncio.sleep(wait)
    await one.socket.send(full)
    assert (await one.until(id="b"))["type"] == "ack"
    other = await usual.connect(await usual.token(new_name()), address=new_address())
    await other.socket.send(full)
    assert (await other.until(id="b"))["type"] == "ack"


async def test_unacked_posts(serve: Serve) -> None:
    """While the store is slow a connection has at most so many posts under way; all of those are acked in the end."""
    server = serve(unacked_posts_per_connection=4)
    client = await member(server, new_name())
    with contextlib.closing(sqlite3.connect(server.state / "data/chat.db", isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        for number in range(5):
            await client.send(type="post", room="lobby", message="hi", id=f"u{number}")
        assert is_throttle(await client.until(id="u4"), "unacked_posts") <= 1.01
        lock.execute("ROLLBACK")
    for number in range(4):
        assert (await client.until(id=f"u{number}"))["type"] == "ack"
    assert (await client.post("hi", id="u4"))["type"] == "ack"


async def test_members_per_room(serve: Serve) -> None:
    """The fourth is told that the room is full, in the tutorial profile by a close that says to come back."""
    server = serve(connections_per_room=3)
    inside = [await member(server, new_name()) for _ in range(3)]
    token = await server.token(new_name())
    outside = await server.connect(token, address=new_address())
    await outside.send(type="join", room="lobby", id="j")
    answer = await outside.until(id="j")
    assert (answer["code"], answer["limit"], answer["retry_after"]) == ("room_full", "members_per_room", 5.0)
    tutorial = await server.connect(token, address=new_address(), tutorial=True)
    assert (await tutorial.receive())["limit"] == "members_per_room"
    assert await tutorial.closed() == (1013, "try_later")
    await inside[0].socket.close()
    deadline = time.monotonic() + 5
    while True:
        await outside.send(type="join", room="lobby", id="again")
        if (await outside.until(id="again"))["type"] == "joined":
            break
        assert time.monotonic() < deadline
    await inside[1].join()


async def _flood(raw: Raw) -> float:
    """Send until the server closes; when it did."""
    for _ in range(40):
        raw.frame(TEXT, b'{"type":"ping"}')
    assert await raw.closed() == (4500, "flood")
    return time.monotonic()


async def test_each_cool_down_is_longer(narrow: Server) -> None:
    """One second, then two; after it the user is welcome again, and neither the address nor other users ever wait."""
    name, address = new_name(), new_address()
    token, other = await narrow.token(name), await narrow.token(new_name())
    for seconds in (1, 2):
        raw = await Raw.open(narrow)
        await raw.connect(token, address)
        closed = await _flood(raw)
        refused = await narrow.refused(token, address=address)
        assert (refused.status, refused.reason) == (429, "user_cooldown")
        assert seconds - 0.8 < refused.body["retry_after"] <= seconds
        assert refused.retry_after == str(seconds)
        bystander = await narrow.connect(other, address=address)
        await bystander.socket.close()
        await asyncio.sleep(refused.body["retry_after"])
        assert time.monotonic() - closed < seconds + 1


async def test_throttles_of_any_limit_make_a_flood(usual: Server) -> None:
    """Twenty in a minute are answered, the next one ends it."""
    name = new_name()
    client = await member(usual, name)
    before = usual.counts()
    for _ in range(5 + 25):
        await client.send(type="post", room="lobby", message="hi")
    assert await client.closed() == (4500, "flood")
    changed = usual.counts() - before
    throttles = sum(count for counter, count in changed.items() if counter.startswith("messages_throttled_total"))
    assert throttles == 21
    assert changed["messages_total{outcome=accepted}"] <= 9


def _sign_in(server: Server, name: str, address: str, password: str = PASSWORD) -> tuple[int, str, float]:
    """Status, reason and limit's name of one sign-in, and how long to wait."""
    body = {"name": name, "password": password}
    status, headers, answer = server.get(
        "/api/session", method="POST", body=body, headers={"Origin": ORIGIN}, address=address
    )
    content = json.loads(answer)
    if status == 429:
        assert content["reason"] == "rate_limited"
        assert int(headers["retry-after"]) >= content["retry_after"] > 0
    return status, content.get("limit") or content.get("reason") or "", content.get("retry_after", 0.0)


async def test_sign_in_per_account_and_address(usual: Server) -> None:
    """Five a minute from one address, whether right or wrong; the victim signs in from elsewhere all the while."""
    victim, thief = await usual.person(new_name()), new_address()
    for _ in range(5):
        assert _sign_in(usual, victim, thief, "wrong")[:2] == (401, "credentials_wrong")
    status, limit, wait = _sign_in(usual, victim, thief)
    assert (status, limit) == (429, "sign_ins_per_account")
    assert 0 < wait <= 12
    assert _sign_in(usual, victim, new_address())[0] == 200
    assert _sign_in(usual, await usual.person(new_name()), thief)[0] == 200


async def test_sign_in_per_address(usual: Server) -> None:
    """Twenty a minute, whatever the names: stuffing is slow, and locks nobody out."""
    stuffer, victim = new_address(), await usual.person(new_name())
    refused = (429, "sign_ins_per_address")
    began, tried = time.monotonic(), 0
    while (answer := _sign_in(usual, f"stuffed{tried}", stuffer, "wrong")[:2]) == (401, "credentials_wrong"):
        tried += 1
        assert tried <= 20 + (time.monotonic() - began) / 3
    assert answer == refused
    assert tried >= 20
    for same in (stuffer, f"::ffff:{stuffer}"):
        # Another three seconds may be over by now, which lets one more pass, not a second.
        assert refused in [_sign_in(usual, victim, same)[:2] for _ in range(2)]
    assert _sign_in(usual, victim, new_address())[0] == 200


async def test_places_come_back(usual: Server) -> None:
    """A connection that is gone without a word holds no place."""
    token = await usual.token(new_name())
    raws = [await Raw.open(usual) for _ in range(5)]
    for raw in raws:
        await raw.connect(token, new_address())
    assert (await usual.refused(token, address=new_address())).reason == "user_connections"
    open_now = usual.metric("chat_connections")
    raws[0].writer.transport.abort()
    await asyncio.sleep(0)  # one turn of the loop, in which it happens
    until(lambda: usual.metric("chat_connections") < open_now, "the server noticed")
    await usual.connect(token, address=new_address())
