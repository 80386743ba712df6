"""The limits of what is done with rooms, on the socket and over HTTP, each reached exactly."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.socket.conftest import WIDE
from tests.socket.server import Client, Server, new_name, running
from tests.socket.test_limits import is_throttle


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Small limits of what is done with rooms."""
    limits = {
        "changes_per_user_per_second": "2",
        "changes_per_user_burst": "8",
        "reads_per_user_per_second": "5",
        "reads_per_user_burst": "10",
        "rooms_per_user": "3",
        "posts_per_room_per_second": "50",
        "posts_per_room_burst": "50",
        "posts_per_room_max_per_second": "80",
        "slow_mode_max_seconds": "30",
        "posts_per_user_burst": "40",
        "posts_per_user_per_second": "1",
    }
    with running(tmp_path_factory.mktemp("strict"), **(WIDE | limits)) as started:
        yield started


async def room_of(owner: Client, **configured: Any) -> str:
    """A public room, configured so."""
    room = str((await owner.ask(type="create", title="Limits", public=True))["room"])
    if configured:
        assert (await owner.ask(type="configure", room=room, **configured))["type"] == "ack"
    await owner.join(room)
    return room


def asked_over_http(server: Server, token: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """One request with a token."""
    method = "POST" if body else "GET"
    status, _, answer = server.get(path, method=method, body=body or None, headers={"Authorization": f"Bearer {token}"})
    return status, json.loads(answer)


async def test_slow_mode(strict: Server) -> None:
    """A member posts once in the time that the owner set, on any connection; owners and moderators as they like."""
    owner, (name, moderator_name) = await strict.connect(await strict.token(new_name())), (new_name(), new_name())
    room = await room_of(owner, slow_seconds=0.6)
    one, two = [await strict.connect(await strict.token(name)) for _ in range(2)]
    moderator = await strict.connect(await strict.token(moderator_name))
    for client in (one, two, moderator):
        await client.join(room)
    before = strict.metric("chat_messages_throttled_total", limit="slow_mode")
    assert (await one.post("first of two", room))["type"] == "ack"
    wait = is_throttle(await two.post("second of two", room), "slow_mode")
    assert 0 < wait <= 0.61
    assert strict.metric("chat_messages_throttled_total", limit="slow_mode") == before + 1
    assert [(await owner.post("mine", room))["type"] for _ in range(2)] == ["ack", "ack"]
    await owner.ask(type="set_role", room=room, user=moderator_name, role="moderator")
    assert [(await moderator.post("order", room))["type"] for _ in range(2)] == ["ack", "ack"]
    await asyncio.sleep(wait)
    assert (await two.post("second of two", room))["type"] == "ack"


async def test_the_rate_that_a_rooms_owner_sets(strict: Server) -> None:
    """It holds from the next post on, for everybody in the room; 0 gives the server's own back."""
    owner = await strict.connect(await strict.token(new_name()))
    room = await room_of(owner, posts_per_second=2.0)
    begun, accepted = time.monotonic(), 0
    while (answer := await owner.post("hi", room))["type"] == "ack":
        accepted += 1
    assert 2 <= accepted <= 2 + 2 * (time.monotonic() - begun)
    assert is_throttle(answer, "posts_per_room") <= 0.51
    assert (await owner.ask(type="configure", room=room, posts_per_second=0))["type"] == "ack"
    for _ in range(3):
        while (answer := await owner.post("hi", room))["type"] == "error":
            assert is_throttle(answer, "posts_per_room") <= 0.03, "one post at the server's 50 a second takes 0.02 s"
            await asyncio.sleep(answer["retry_after"])


async def test_owners_stay_within_the_servers_bounds(strict: Server) -> None:
    """What is beyond is refused with the bound, and changes nothing."""
    owner = await strict.connect(await strict.token(new_name()))
    room = await room_of(owner)
    answer = await owner.ask(type="configure", room=room, posts_per_second=81)
    assert (answer["code"], answer["error"]) == ("invalid", "posts_per_second can be at most 80 here.")
    answer = await owner.ask(type="configure", room=room, slow_seconds=31)
    assert (answer["code"], answer["error"]) == ("invalid", "slow_seconds can be at most 30 here.")
    assert (await owner.ask(type="configure", room=room, posts_per_second=80, slow_seconds=30))["type"] == "ack"


async def test_changes_per_user(strict: Server) -> None:
    """Eight at once, then two a second, on the socket and over HTTP together; posts are not touched by it."""
    name = new_name()
    token = await strict.token(name)
    owner = await strict.connect(token)
    room = await room_of(owner)
    begun, done = time.monotonic(), 1
    while (answer := await owner.ask(type="rename", room=room, title=f"Title {done}"))["type"] == "ack":
        done += 1
    assert 8 <= done <= 8 + 2 * (time.monotonic() - begun) + 1
    wait = is_throttle(answer, "changes_per_user")
    status, problem = asked_over_http(strict, token, f"/api/rooms/{room}/rename", title="Other")
    assert (status, problem["reason"], problem["limit"]) == (429, "rate_limited", "changes_per_user")
    assert (await owner.post("hi", room))["type"] == "ack"
    await asyncio.sleep(wait)
    assert (await owner.ask(type="rename", room=room, title="Another"))["type"] == "ack"


async def test_reads_per_user(strict: Server) -> None:
    """Ten at once, then five a second: lists, pages, joins and marks together, over HTTP, too."""
    token = await strict.token(new_name())
    client = await strict.connect(token)
    begun, done = time.monotonic(), 0
    while (answer := await client.ask(type=("rooms", "history")[done % 2], **({"room": "lobby"} if done % 2 else {})))[
        "type"
    ] != "error":
        done += 1
    assert 10 <= done <= 10 + 5 * (time.monotonic() - begun)
    wait = is_throttle(answer, "reads_per_user")
    status, problem = asked_over_http(strict, token, "/api/rooms")
    assert (status, problem["limit"]) == (429, "reads_per_user")
    await asyncio.sleep(wait)
    assert (await client.ask(type="join", room="lobby"))["type"] == "joined"


async def test_rooms_per_user(strict: Server) -> None:
    """Three memberships, the default room apart; one more is refused at create and at join, and leaving makes place."""
    name = new_name()
    client, other = await strict.connect(await strict.token(name)), await strict.connect(await strict.token(new_name()))
    theirs = await room_of(other)
    for _ in range(3):
        room = (await client.ask(type="create", title="Mine", public=False))["room"]
    before = strict.metric("chat_messages_throttled_total", limit="rooms_per_user")
    for fields in ({"type": "create", "title": "Mine"}, {"type": "join", "room": theirs}):
        answer = await client.ask(**fields)
        assert (answer["code"], answer["limit"]) == ("too_many_rooms", "rooms_per_user"), answer
    assert strict.metric("chat_messages_throttled_total", limit="rooms_per_user") == before + 2
    assert (await client.ask(type="leave", room=room))["code"] == "last_owner"
    await client.ask(type="archive", room=room)
    status, problem = asked_over_http(strict, await strict.mint(name), "/api/rooms", title="Mine")
    assert (status, problem["reason"]) == (409, "too_many_rooms")


async def test_posts_over_http_share_the_users_limits(strict: Server) -> None:
    """What the socket used up is not there for HTTP, and the other way round; `retry_after` says when."""
    token = await strict.token(new_name())
    client = await strict.connect(token)
    await client.join()
    for _ in range(20):
        assert (await client.post("hi"))["type"] == "ack"
    answers = [asked_over_http(strict, token, "/api/rooms/lobby/post", message="hi") for _ in range(25)]
    statuses = [status for status, _ in answers]
    assert statuses.count(200) in range(20, 24) and statuses[-1] == 429
    problem = answers[-1][1]
    assert (problem["reason"], problem["limit"]) == ("rate_limited", "posts_per_user") and problem[
        "retry_after"
    ] <= 1.01


async def test_a_flood_over_http_cools_down_too(strict: Server) -> None:
    """The sockets of whoever goes on after many throttles are closed, and HTTP answers nothing until it is over."""
    name = new_name()
    token = await strict.token(name)
    client = await strict.connect(token)
    reasons = [asked_over_http(strict, token, "/api/rooms")[1].get("reason") for _ in range(40)]
    assert reasons[:10] == [None] * 10 and reasons[-1] == "user_cooldown"
    assert await client.closed() == (4500, "flood")
    status, problem = asked_over_http(strict, token, "/api/rooms/lobby/post", message="hi there, all of you")
    assert (status, problem["reason"]) == (429, "user_cooldown") and problem["retry_after"] > 0
    assert (await strict.refused(token)).reason == "user_cooldown"
    other = await strict.token(new_name())
    assert asked_over_http(strict, other, "/api/rooms")[0] == 200
