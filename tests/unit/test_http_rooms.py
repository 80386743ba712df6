"""Rooms over HTTP: forms, sizes, prices and refusals. What each role may do there, tests/socket/test_roles.py asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.frames import SERVER_FRAMES, HistoryPage, MembersPage, RoomsPage
from app.model import Change, Post, RoomId, UserName
from app.roles import Action
from app.routes.rooms import VERBS
from tests.unit.party import Party, party, problem

ANN = UserName("ann")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Party]:
    limits: dict[str, Any] = {
        "posts_per_user_per_second": 0.01,
        "posts_per_user_burst": 3,
        "reads_per_user_per_second": 0.01,
        "reads_per_user_burst": 12,
        "bytes_per_user_per_second": 1.0,
        "bytes_per_user_burst": 20_000,
        "rooms_per_user": 2,
        "message_characters": 40,
    }
    async with party(tmp_path, **limits) as server:
        for name in ("ann", "bob"):
            await server.account(name)
        yield server


@pytest.fixture
async def ann(server: Party) -> httpx.AsyncClient:
    return await server.signed_in("ann")


@pytest.fixture
async def bob(server: Party) -> httpx.AsyncClient:
    return await server.signed_in("bob")


async def made(client: httpx.AsyncClient, **fields: Any) -> str:
    """The path of a new room."""
    answer = await client.post("/api/rooms", json={"title": "Den", **fields})
    assert answer.status_code == 201, answer.text
    return f"/api/rooms/{answer.json()['room']}"


def counted(server: Party, name: str, **labels: str) -> float:
    return server.backends.metrics.registry.get_sample_value(f"chat_{name}_total", labels) or 0.0


async def test_the_same_gates_as_everywhere(server: Party, ann: httpx.AsyncClient) -> None:
    """Nobody without a credential; no page of another origin with the cookie."""
    path = await made(ann)
    async with server.client() as nobody:
        for method, where in (("GET", "/api/rooms"), ("GET", path), ("POST", f"{path}/post")):
            assert problem(await nobody.request(method, where, json={})) == (401, "credential_missing")
    answer = await ann.post(f"{path}/post", json={"message": "hi"}, headers={"Origin": "https://evil.example"})
    assert problem(answer) == (403, "origin_forbidden")


async def test_a_room_is_made_once(server: Party, ann: httpx.AsyncClient) -> None:
    """The same id is the same room; a third one is too many, by name and counted as such."""
    assert await made(ann, id="c1") == await made(ann, id="c1", title="Whatever")
    await made(ann)
    answer = await ann.post("/api/rooms", json={"title": "Third"})
    assert problem(answer) == (409, "too_many_rooms") and answer.json()["limit"] == "rooms_per_user"
    assert counted(server, "messages_throttled", limit="rooms_per_user") == 1
    assert counted(server, "changes", action="create", outcome="too_many_rooms") == 1
    assert counted(server, "changes", action="create", outcome="stored") == 3


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("post", {"message": " "}, "blank"),
        ("post", {"message": "x" * 41}, "too_long"),
        ("post", {"message": "hi", "type": "kick"}, "invalid"),
        ("post", {"message": "hi", "room": "lobby"}, "invalid"),
        ("post", {"message": "hi", "more": 1}, "invalid"),
        ("post", {}, "invalid"),
        ("kick", {"user": 7}, "invalid"),
        ("configure", {}, "invalid"),
        ("set_role", {"user": "bob", "role": "admin"}, "invalid"),
        ("ban", {"user": "bob", "seconds": -1}, "invalid"),
        ("ban", {"user": "bob", "reason": "two\nlines"}, "invalid"),
        ("refresh", {"token": "x"}, "not_found"),
        ("create", {"title": "x"}, "not_found"),
    ],
)
async def test_what_is_not_valid_is_told_in_a_word(
    ann: httpx.AsyncClient, path: str, body: dict[str, Any], reason: str
) -> None:
    """The same forms as on the socket; the path says what and where, the body only how."""
    answer = await ann.post(f"{await made(ann)}/{path}", json=body)
    assert problem(answer) == (404 if reason == "not_found" else 422, reason)


@pytest.mark.parametrize("room", ["UPPER", "a" * 33, "-x", "a%20b"])
async def test_what_cannot_be_a_room_is_not_valid(ann: httpx.AsyncClient, room: str) -> None:
    """Before anybody is asked whether there is one."""
    for path in ("", "/events", "/members", "/audit"):
        assert problem(await ann.get(f"/api/rooms/{room}{path}")) == (422, "invalid")
    assert problem(await ann.post(f"/api/rooms/{room}/leave", json={})) == (422, "invalid")


async def test_pages_are_bounded(server: Party, ann: httpx.AsyncClient) -> None:
    """Fifty events, fifty entries; `more` says that there are others, and where they go on is in the page."""
    path = await made(ann)
    room = RoomId(path.rpartition("/")[2])
    titles = [Change(room, ANN, Action.RENAME, facts={"title": f"{number}"}) for number in range(60)]
    await server.backends.store.append(titles)
    await server.backends.store.append([Post(room, ANN, "x") for _ in range(60)])
    page = (await ann.get(f"{path}/events", params={"before": 60})).json()
    assert [event["offset"] for event in page["events"]] == list(range(10, 60)) and page["more"]
    HistoryPage.model_validate({"type": "history", **page})
    rest = (await ann.get(f"{path}/events", params={"after": 119, "limit": 50})).json()
    assert [event["offset"] for event in rest["events"]] == [120, 121] and not rest["more"]
    log = (await ann.get(f"{path}/audit")).json()
    assert len(log["entries"]) == 50 and log["more"]
    log = (await ann.get(f"{path}/audit", params={"before": log["entries"][-1]["id"]})).json()
    assert [entry["action"] for entry in log["entries"]] == ["rename"] * 10 + ["create"] and not log["more"]
    for limit in (0, 51):
        assert problem(await ann.get(f"{path}/events", params={"limit": limit})) == (422, "invalid")
    both = await ann.get(f"{path}/events", params={"before": 9, "after": 1})
    assert problem(both) == (422, "invalid")


async def test_pages_are_those_of_the_socket(ann: httpx.AsyncClient) -> None:
    """Field by field what the socket's models say."""
    path = await made(ann)
    RoomsPage.model_validate({"type": "rooms", **(await ann.get("/api/rooms")).json()})
    members = (await ann.get(f"{path}/members")).json()
    MembersPage.model_validate({"type": "members", **members})
    assert members["members"] == [{"user": "ann", "role": "owner", "online": False}]
    assert {"history", "members", "audit", "rooms"} <= {model.model_fields["type"].default for model in SERVER_FRAMES}
    assert not {"history", "members", "audit", "rooms", "see"} & set(VERBS)


async def test_a_look_costs_a_look(server: Party, ann: httpx.AsyncClient) -> None:
    """Lists, one room and pages out of the same purse; the throttle is counted once."""
    path = await made(ann)
    for number in range(12):
        assert (await ann.get(("/api/rooms", path, f"{path}/members")[number % 3])).status_code == 200
    for where in ("/api/rooms", path, f"{path}/events"):
        answer = await ann.get(where)
        assert problem(answer) == (429, "rate_limited") and answer.json()["limit"] == "reads_per_user"
    assert counted(server, "messages_throttled", limit="reads_per_user") == 3


async def test_a_refused_post_costs_what_a_post_costs(server: Party, ann: httpx.AsyncClient) -> None:
    """Or whoever asks for rooms that are not there could ask the store as often as they like."""
    for _ in range(3):
        assert problem(await ann.post("/api/rooms/nowhere/post", json={"message": "hi"})) == (404, "room_unknown")
    answer = await ann.post("/api/rooms/lobby/post", json={"message": "hi"})
    assert problem(answer) == (429, "rate_limited") and answer.json()["limit"] == "posts_per_user"
    assert counted(server, "messages", outcome="refused") == 3
    assert counted(server, "messages", outcome="throttled") == 1
    assert counted(server, "messages_throttled", limit="posts_per_user") == 1


async def test_bytes_count_however_they_are_sent(ann: httpx.AsyncClient) -> None:
    """A body without a length is as long as it is."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"message": "hi"' + b" " * 12_000
        yield b"}"

    path = await made(ann)
    headers = {"Content-Type": "application/json"}
    first = await ann.post(f"{path}/post", content=chunks(), headers=headers)
    assert first.status_code == 200, first.text
    second = await ann.post(f"{path}/post", content=chunks(), headers=headers)
    assert problem(second) == (429, "rate_limited") and second.json()["limit"] == "bytes_per_user"


async def test_joining_and_leaving_is_counted(server: Party, ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    """By what became of it."""
    path = await made(ann, public=True)
    assert (await bob.post(f"{path}/join", json={})).status_code == 200
    assert problem(await bob.post(f"{path}/join", json={})) == (409, "unchanged")
    assert problem(await ann.post(f"{path}/leave", json={})) == (409, "last_owner")
    for outcome in ("stored", "unchanged"):
        assert counted(server, "changes", action="join", outcome=outcome) == 1
    assert counted(server, "changes", action="leave", outcome="last_owner") == 1


async def test_waiting_is_told_where_it_helps(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    """A ban or mute for some seconds says for how many; one for good does not."""
    path = await made(ann, public=True)
    await bob.post(f"{path}/join", json={})
    await ann.post(f"{path}/mute", json={"user": "bob", "seconds": 60})
    muted = await bob.post(f"{path}/post", json={"message": "hi"})
    assert problem(muted) == (403, "muted") and 50 < muted.json()["retry_after"] <= 60
    await ann.post(f"{path}/ban", json={"user": "bob"})
    banned = await bob.get(path)
    assert problem(banned) == (403, "banned") and "retry_after" not in banned.json()
    assert (await bob.get("/api/rooms", params={"public": True})).json() == {"rooms": []}
