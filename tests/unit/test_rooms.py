"""What users do with rooms: names, lists, and what happens when the store does not answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import rooms as module
from app import verbs
from app.backends import Backends
from app.model import DEFAULT_ROOM, Change, Post, RoomId, Stored, UserName
from app.roles import Action
from app.rooms import room_id
from app.store import StoreDown
from app.verdict import Denied, ErrorCode
from tests.unit.live import connection
from tests.unit.party import party

ANN, BOB = UserName("ann"), UserName("bob")
ROOM = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@pytest.fixture
async def backends(tmp_path: Path) -> AsyncIterator[Backends]:
    async with party(tmp_path, queued_posts=2) as server:
        for name in (ANN, BOB):
            await server.backends.store.create_account(name, "!")
        yield server.backends


@given(st.text())
def test_every_title_gives_a_room_a_name(title: str) -> None:
    """A proper one, that shows what it can of the title and that is never the same twice."""
    one, two = room_id(title), room_id(title)
    assert ROOM.fullmatch(one) and one != two
    assert one[:-6] == two[:-6]


def test_names_show_the_title() -> None:
    """As far as it is in plain letters; the default room's name is nobody's to draw."""
    assert room_id("Book club, 2nd try!").startswith("book-club-2nd-try-")
    assert room_id("читальня").startswith("room-")
    assert len(room_id("x" * 80)) == 31
    assert room_id("lobby") != DEFAULT_ROOM


async def test_another_name_is_drawn_when_one_is_taken(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few times; a room that exists is never given away."""
    drawn = [RoomId(name) for name in ("lobby", "lobby", "free-1", "lobby", "lobby", "lobby")]
    monkeypatch.setattr(module, "room_id", lambda _title: drawn.pop(0))
    create = verbs.Create(type="create", title="Den")
    made = await backends.rooms.act(ANN, create, 10)
    assert isinstance(made, Stored) and made.event.room == "free-1"
    assert await backends.rooms.act(ANN, create, 10) == Denied(ErrorCode.UNCHANGED)
    entry = await backends.store.entry(DEFAULT_ROOM, ANN)
    assert entry is not None and entry.role == "member"


async def test_what_was_just_read_is_not_counted_as_unread(backends: Backends) -> None:
    """In the list and of the room itself: what waits is written down first."""
    await backends.store.append([Post(DEFAULT_ROOM, BOB, "hi") for _ in range(5)])
    await backends.rooms.act(ANN, verbs.Read(type="read", room="lobby", offset=4), 0)
    page = await backends.rooms.act(ANN, verbs.Rooms(type="rooms"), 0)
    assert isinstance(page, dict) and (page["rooms"][0]["read"], page["rooms"][0]["unread"]) == (4, 1)
    await backends.rooms.act(ANN, verbs.Read(type="read", room="lobby", offset=5), 0)
    room = await backends.rooms.room(ANN, DEFAULT_ROOM)
    assert isinstance(room, dict) and room["unread"] == 0


async def test_too_much_at_once_is_refused_and_an_unknown_outcome_is_never_an_ack(backends: Backends) -> None:
    """Both may be sent again, with the same id."""
    posts = [asyncio.create_task(backends.rooms.write(Post(DEFAULT_ROOM, ANN, f"{number}"))) for number in range(4)]
    answers = await asyncio.gather(*posts)
    assert [isinstance(answer, Stored) for answer in answers] == [True, True, False, False]
    assert answers[3] == Denied(ErrorCode.BUSY, 1.0)
    await backends.store.close()
    assert await backends.rooms.write(Change(DEFAULT_ROOM, ANN, Action.LEAVE)) == Denied(ErrorCode.BUSY, 1.0)
    await backends.store.open()


async def test_a_post_that_the_server_could_not_take_is_counted_apart(backends: Backends) -> None:
    """Whether its queue was full or its store did not answer: neither is the sender's fault, unlike an unknown room."""

    def counted(outcome: str) -> float | None:
        return backends.metrics.registry.get_sample_value("chat_messages_total", {"outcome": outcome})

    post = verbs.Post(type="post", room="lobby", message="hi")
    await backends.rooms.act(ANN, verbs.Post(type="post", room="nowhere", message="hi"), 0)
    assert (counted("refused"), counted("busy")) == (1, 0)
    filling = [asyncio.create_task(backends.rooms.write(Post(DEFAULT_ROOM, BOB, f"{number}"))) for number in range(2)]
    await asyncio.sleep(0)
    backends.batch.put = lambda *_: False  # type: ignore[method-assign]
    assert await backends.rooms.act(ANN, post, 0) == Denied(ErrorCode.BUSY, 1.0)
    await asyncio.gather(*filling)
    assert (counted("refused"), counted("busy")) == (1, 1)
    await backends.store.close()
    with pytest.raises(StoreDown):
        await backends.rooms.act(ANN, post, 0)
    assert (counted("refused"), counted("busy")) == (1, 2)
    await backends.store.open()


async def test_who_is_there_now_comes_first(backends: Backends) -> None:
    """In the default room, whoever has no row of their own is listed only while online."""
    assert await backends.rooms.act(ANN, verbs.Members(type="members", room="lobby"), 0) == {
        "room": "lobby",
        "members": [],
    }
    made = await backends.rooms.act(ANN, verbs.Create(type="create", title="Den", public=True), 0)
    assert isinstance(made, Stored)
    room = made.event.room
    await backends.rooms.act(BOB, verbs.Join(type="join", room=room), 0)
    live, _ = connection("bob")
    assert await backends.presence.acquire(live.id, BOB, live.address.limited) is None
    for where in (room, DEFAULT_ROOM):
        await backends.presence.enter(where, live.id)
    page = await backends.rooms.act(ANN, verbs.Members(type="members", room=room), 0)
    assert isinstance(page, dict)
    assert [(row["user"], row["online"]) for row in page["members"]] == [("bob", True), ("ann", False)]
    page = await backends.rooms.act(ANN, verbs.Members(type="members", room="lobby"), 0)
    assert isinstance(page, dict) and [row["user"] for row in page["members"]] == ["bob"]
