"""Events that were missed are read from the store, all of them, whatever happens while they are read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app import repair as module
from app.hub import Hub
from app.limiter import Rate
from app.live_room import LiveRoom
from app.metrics import Metrics
from app.model import DEFAULT_ROOM, Entry, Event, Post, Stored, UserName
from app.repair import Repair
from app.roles import Role
from app.store import Store, StoreDown
from tests.patience import PATIENCE
from tests.unit.live import PaperWire, connection


class Busy(Store):
    """While it reads, more is stored and told of, if that is wanted."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 1.0)
        self.hub = Hub(Metrics(), Rate(50.0, 50))
        self.more = 0
        self.broken = False

    async def events(self, room: Any, after: int, limit: int) -> list[Event]:
        if self.broken:
            raise ValueError("a bug")
        found = await super().events(room, after, limit)
        if self.more:
            self.more -= 1
            self.hub.deliver((await self.posted(1))[-1:])
        return found

    async def posted(self, count: int) -> list[Event]:
        """So many events that nobody was told of."""
        writes = [Post(DEFAULT_ROOM, UserName("ann"), "hi", access=0)] * count
        return [answer.event for answer in await self.append(writes) if isinstance(answer, Stored)]


class Scene:
    """A live room with one member, on a store and under repair when needed."""

    def __init__(self, store: Busy, room: LiveRoom, wire: PaperWire, repair: Repair) -> None:
        self.store, self.room, self.wire, self.repair = store, room, wire, repair
        self.hub = store.hub

    def seen(self) -> list[int]:
        return [frame["offset"] for frame in self.wire.take()]

    async def repaired(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.room.repairing is not None:
                await self.room.repairing


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(module, "_RETRY", 0.01)
    monkeypatch.setattr(module, "_PAGE", 4)
    url = f"sqlite:///{tmp_path}/chat.db"
    Store.migrate(url)
    store = Busy(url)
    await store.open()
    state = await store.room(DEFAULT_ROOM)
    assert state is not None
    room, (bob, wire) = store.hub.open(state), connection("bob")
    room.join(bob, Entry(state, Role.MEMBER))
    repair = Repair(store, store.hub, 0.1)
    store.hub.lost = repair.begin
    yield Scene(store, room, wire, repair)
    with contextlib.suppress(asyncio.CancelledError):
        if room.repairing is not None:
            room.repairing.cancel()
            await room.repairing
    await store.close()


async def test_page_by_page_until_nothing_is_missing(scene: Scene) -> None:
    """However much it is; nothing is delivered before what comes before it."""
    scene.hub.deliver((await scene.store.posted(11))[-1:])
    assert scene.seen() == []
    await scene.repaired()
    assert scene.seen() == list(range(1, 12))


@pytest.mark.parametrize("more", [1, 3])
async def test_what_is_heard_of_while_a_page_is_read_is_not_forgotten(scene: Scene, more: int) -> None:
    """Though its notice comes when nobody can deliver it yet, and no other one follows."""
    scene.store.more = more
    scene.hub.deliver((await scene.store.posted(2))[-1:])
    await scene.repaired()
    assert scene.seen() == list(range(1, 3 + more))


async def test_it_goes_on_until_the_store_answers(scene: Scene) -> None:
    """Meanwhile whoever waits for it is told that the store is down; a repair runs once, not once a caller."""
    events = await scene.store.posted(5)
    await scene.store.close()
    scene.hub.deliver(events[3:])
    running = scene.room.repairing
    with pytest.raises(StoreDown, match="could not be read"):
        await scene.repair.room(scene.room, 5)
    assert scene.room.repairing is running is not None
    await scene.store.open()
    await scene.repaired()
    assert scene.seen() == [1, 2, 3, 4, 5]
    await scene.repair.room(scene.room, 5)
    assert scene.room.repairing is None, "nothing to do"


async def test_what_is_gone_is_not_passed_over(scene: Scene) -> None:
    """Retention was quicker: everybody is closed, with nothing of what follows the gap, and the room opens anew."""
    events = await scene.store.posted(9)
    for _ in range(3):
        await scene.store.retain(events[-1].timestamp, 3600.0, 2)
    scene.hub.deliver(events[-1:])
    await scene.repaired()
    assert scene.wire.closed == [(1013, "try_later")]
    assert scene.seen() == [] and not scene.hub.rooms and not scene.room.users


async def test_a_room_that_nobody_is_in_any_more_is_left_alone(scene: Scene) -> None:
    """There is nobody to deliver to; the next one opens it anew."""
    events = await scene.store.posted(9)
    scene.hub.deliver(events[-1:])
    del scene.hub.rooms[DEFAULT_ROOM]
    await scene.repaired()
    assert scene.seen() == []


async def test_a_bug_leaves_nobody_in_a_room_that_stands_still(scene: Scene) -> None:
    """Everybody comes again, and whoever waits for the repair goes on."""
    events = await scene.store.posted(2)
    scene.store.broken = True
    scene.hub.deliver(events[1:])
    await scene.repair.room(scene.room, 2)
    assert scene.wire.closed == [(1013, "try_later")] and not scene.hub.rooms
