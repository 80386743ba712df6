"""Posts are stored in order and in batches; every one is answered, whatever fails on the way."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from app.batch import Batch
from app.metrics import Metrics
from app.model import DEFAULT_ROOM, Change, Event, Post, RoomId, Stored, UserName
from app.roles import Action
from app.store import Store
from app.verdict import Denied, ErrorCode
from tests.patience import PATIENCE


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/chat.db"
    Store.migrate(url)
    # Longer than a write takes on a machine that is busy with something else.
    store = Store(url, 2.0)
    await store.open()
    yield store
    await store.close()


class Room:
    """Hears what is published."""

    def __init__(self, store: Store, size: int = 512, queued: int = 10_000) -> None:
        self.metrics = Metrics()
        self.heard: list[Event] = []
        self.deaf = False
        self.answers: list[Stored | Denied | None] = []
        self.batch = Batch(store, self.publish, self.metrics, size, queued)

    async def publish(self, events: Sequence[Event]) -> None:
        if self.deaf:
            raise ConnectionError("nobody hears")
        self.heard += events

    def put(self, text: str, client_id: str | None = None) -> bool:
        return self.batch.put(Post(DEFAULT_ROOM, UserName("ann"), text, client_id), self.answers.append)

    def degraded(self) -> float:
        return self.metrics.registry.get_sample_value("chat_degraded", {"backend": "store"}) or 0.0


async def test_posts_are_answered_in_order_and_published_once(store: Store) -> None:
    """However they fall into batches; what was stored before is answered again and published no more."""
    room = Room(store, size=3)
    assert all(room.put(str(number), f"id{number % 8}") for number in range(10))
    assert await room.batch.flush(PATIENCE)
    offsets = [answer.event.offset for answer in room.answers if isinstance(answer, Stored)]
    assert offsets == [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]
    assert [event.offset for event in room.heard] == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_a_change_is_answered_only_once_it_was_delivered(store: Store) -> None:
    """Whoever removed somebody may rely on it then; a post's sender need not wait for the others."""
    room = Room(store)
    await store.create_account(UserName("root"), "!", admin=True)
    await store.create_account(UserName("bob"), "!")
    heard: list[tuple[str, int]] = []

    def answer(what: str) -> Callable[[Stored | Denied | None], None]:
        return lambda _: heard.append((what, len(room.heard)))

    room.batch.put(Post(DEFAULT_ROOM, UserName("ann"), "hi"), answer("post"))
    kick = Change(DEFAULT_ROOM, UserName("root"), Action.KICK, user=UserName("bob"))
    room.batch.put(kick, answer("kick"))
    assert await room.batch.flush(PATIENCE)
    assert heard == [("post", 0), ("kick", 2)]


async def test_what_is_denied_is_answered_and_not_published(store: Store) -> None:
    """One refusal is not its neighbours'."""
    room = Room(store)
    room.batch.put(Post(RoomId("nowhere"), UserName("ann"), "hi"), room.answers.append)
    room.put("found")
    assert await room.batch.flush(PATIENCE)
    assert room.answers[0] == Denied(ErrorCode.ROOM_UNKNOWN)
    assert [event.message for event in room.heard] == ["found"]


async def test_no_more_wait_than_may(store: Store) -> None:
    """What does not fit is refused at once and not kept."""
    room = Room(store, queued=2)
    assert [room.put(str(number)) for number in range(3)] == [True, True, False]
    assert await room.batch.flush(PATIENCE)
    assert len(room.answers) == 2


async def test_a_failing_store_answers_none_and_recovers(store: Store, tmp_path: Path) -> None:
    """Nothing is published, the fault is counted and shown, and the next batch ends it."""
    room = Room(store)
    with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        room.put("lost", "id")
        assert await room.batch.flush(PATIENCE)
        other.execute("ROLLBACK")
    assert (room.answers, room.heard, room.batch.failed, room.degraded()) == ([None], [], True, 1.0)
    assert room.metrics.registry.get_sample_value("chat_store_errors_total", {"verb": "append"}) == 1
    room.put("found", "id")
    assert await room.batch.flush(PATIENCE)
    assert [event.message for event in room.heard] == ["found"]
    assert (room.batch.failed, room.degraded()) == (False, 0.0)


async def test_waiting_for_the_last_answers_has_an_end(store: Store, tmp_path: Path) -> None:
    """A store that hangs does not hold up a process that has to go."""
    room = Room(store)
    with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        room.put("stuck")
        assert not await room.batch.flush(0.05)
        other.execute("ROLLBACK")
    assert await room.batch.flush(PATIENCE)


async def test_one_that_cannot_be_answered_does_not_stop_the_others(store: Store) -> None:
    """Neither its neighbours in the batch nor the delivery."""
    room = Room(store)

    def broken(_: Stored | Denied | None) -> None:
        raise RuntimeError("its connection is in no state to be told")

    room.batch.put(Post(DEFAULT_ROOM, UserName("bob"), "first"), broken)
    room.put("second")
    assert await room.batch.flush(PATIENCE)
    assert len(room.answers) == 1
    assert [event.message for event in room.heard] == ["first", "second"]


async def test_a_delivery_that_fails_does_not_stop_the_next(store: Store) -> None:
    """Posts behind it are stored, acked and delivered."""
    room = Room(store, size=1)
    room.deaf = True
    room.put("unheard")
    assert await room.batch.flush(PATIENCE)
    room.deaf = False
    room.put("heard")
    assert await room.batch.flush(PATIENCE)
    assert all(room.answers)
    assert [event.message for event in room.heard] == ["heard"]
