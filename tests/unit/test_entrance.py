"""Coming into a room, one situation at a time; test_entrance_stories.py makes up others."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.entrance import RECOVERIES
from app.model import DEFAULT_ROOM, Change, Post, Stored
from app.roles import Action
from app.store import StoreDown
from tests.unit.entering import ANN, BOB, ROOT, HeldWire, SlowWire, chat, join, live, wrote
from tests.unit.live import mended

LONG = 400
"""More than is kept in memory, and more than one page of the store."""


async def test_a_long_replay_in_a_busy_room_ends_and_misses_nothing() -> None:
    """Page after page, while others post faster than pages come."""
    async with chat() as backends:
        epoch = (await backends.store.room(DEFAULT_ROOM)).epoch  # type: ignore[union-attr]
        await backends.store.append([Post(DEFAULT_ROOM, ANN, f"m{number}") for number in range(LONG)])
        wire = SlowWire([3] * 50)
        bob = live(backends, wire)
        over = False

        async def noise() -> None:
            while not over:
                await wrote(backends, Post(DEFAULT_ROOM, ANN, "more"))

        busy = asyncio.create_task(noise())
        assert await backends.chat.entrance.enter(bob, join(0, epoch)) is None
        over = True
        await busy
        state = await backends.store.room(DEFAULT_ROOM)
        joined, *rest = [frame for frame in wire.take() if frame["type"] in ("joined", "message")]
        assert (joined["recovered"], joined["offset"]) == (True, 0) and state is not None
        assert [frame["offset"] for frame in rest] == list(range(1, state.offset + 1))
        assert wire.waited > 0


async def test_a_room_that_opens_misses_nothing() -> None:
    """Many come into a room that nobody was in, while somebody posts: each has every event above its `joined`."""
    async with chat() as backends:
        wires = [SlowWire() for _ in range(20)]
        guests = [live(backends, wire, f"guest{number}") for number, wire in enumerate(wires)]
        for guest in guests:
            await backends.store.create_account(guest.identity.user, "!")

        async def noise() -> None:
            for _ in range(50):
                await wrote(backends, Post(DEFAULT_ROOM, ANN, "hi"))

        await asyncio.gather(noise(), *(backends.chat.entrance.enter(guest, join()) for guest in guests))
        for wire in wires:
            joined, *rest = [frame for frame in wire.take() if frame["type"] in ("joined", "message")]
            assert [frame["offset"] for frame in rest] == list(range(joined["offset"] + 1, 51))


async def test_what_the_broker_lost_is_read_from_the_store() -> None:
    """Once, in order, however many batches were lost."""
    async with chat() as backends:
        wire = SlowWire()
        bob = live(backends, wire)
        await backends.chat.entrance.enter(bob, join())
        posts = [Post(DEFAULT_ROOM, ANN, f"m{number}") for number in range(10)]
        lost = [answer.event for answer in await backends.store.append(posts) if isinstance(answer, Stored)]
        backends.hub.deliver(lost[2:4])
        backends.hub.deliver(lost[8:9])
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "last"))
        await mended(backends.hub, DEFAULT_ROOM)
        assert [frame["offset"] for frame in wire.take() if frame["type"] == "message"] == list(range(1, 12))


async def test_what_retention_took_before_a_repair_is_not_passed_over() -> None:
    """Everybody has to come again, and learns then that events are missing."""
    async with chat() as backends:
        wire = SlowWire()
        bob = live(backends, wire)
        await backends.chat.entrance.enter(bob, join())
        await backends.store.append([Post(DEFAULT_ROOM, ANN, f"m{number}") for number in range(10)])
        for _ in range(3):
            await backends.store.retain(time.time(), 3600.0, 3)
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "last"))
        await mended(backends.hub, DEFAULT_ROOM)
        assert wire.closed == [(1013, "try_later")]
        assert not [frame for frame in wire.take() if frame["type"] == "message"]


async def test_a_removal_ends_a_replay_below_it() -> None:
    """Nothing above the removal is written, and an error says that it is over."""
    async with chat() as backends:
        epoch = (await backends.store.room(DEFAULT_ROOM)).epoch  # type: ignore[union-attr]
        await backends.store.append([Post(DEFAULT_ROOM, ANN, f"m{number}") for number in range(LONG)])
        wire = HeldWire()
        bob = live(backends, wire)
        entering = asyncio.create_task(backends.chat.entrance.enter(bob, join(0, epoch)))
        await wire.reached.wait()
        [ban] = await wrote(backends, Change(DEFAULT_ROOM, ROOT, Action.BAN, user=BOB))
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "about bob"))
        wire.let.set()
        assert await entering is None, "`joined` was the answer"
        *frames, last = wire.take()
        assert (last["type"], last["code"], last["room"], last.get("id")) == ("error", "removed", DEFAULT_ROOM, None)
        offsets = [frame["offset"] for frame in frames if frame["type"] == "message"]
        assert offsets == list(range(1, len(offsets) + 1)) and len(offsets) < ban.offset
        assert not bob.rooms


@pytest.mark.parametrize("again", [1, 2])
async def test_joining_again_replays_nothing(again: int) -> None:
    """A connection that is in is told where the room is, and gets no event twice."""
    async with chat() as backends:
        wire = SlowWire()
        bob = live(backends, wire)
        epoch = (await backends.store.room(DEFAULT_ROOM)).epoch  # type: ignore[union-attr]
        await backends.chat.entrance.enter(bob, join())
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "hi"))
        for _ in range(again):
            await backends.chat.entrance.enter(bob, join(0, epoch))
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "ho"))
        frames = [frame for frame in wire.take() if frame["type"] in ("joined", "message")]
        assert [(frame["type"], frame["offset"]) for frame in frames] == [
            ("joined", 0),
            ("message", 1),
            *[("joined", 1)] * again,
            ("message", 2),
        ]


async def test_who_is_in_twice_leaves_twice() -> None:
    """However often each connection joined; the room goes with the last one, and so does its place."""
    async with chat(connections_per_room=2) as backends:
        one, two = live(backends, SlowWire()), live(backends, SlowWire())
        for each in (one, two):
            await backends.presence.acquire(each.id, each.identity.user, each.address.limited)
        for each in (one, one, two, one):
            assert await backends.chat.entrance.enter(each, join()) is None
        room = backends.hub.rooms[DEFAULT_ROOM]
        assert (len(room), room.users[BOB].connections) == (2, 2)
        await backends.chat.goodbye(one, said_so=True)
        assert room.users[BOB].connections == 1
        await backends.chat.goodbye(two, said_so=True)
        assert not backends.hub.rooms and not await backends.presence.online(DEFAULT_ROOM)


async def test_a_second_connection_catches_up_beside_the_first() -> None:
    """The one that is in gets what comes at once; the other one gets it behind its replay; a removal ends both."""
    async with chat() as backends:
        epoch = (await backends.store.room(DEFAULT_ROOM)).epoch  # type: ignore[union-attr]
        await backends.store.append([Post(DEFAULT_ROOM, ANN, f"m{number}") for number in range(LONG)])
        first, held = SlowWire(), HeldWire()
        one, two = live(backends, first), live(backends, held)
        await backends.chat.entrance.enter(one, join())
        entering = asyncio.create_task(backends.chat.entrance.enter(two, join(0, epoch)))
        await held.reached.wait()
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "now"))
        assert first.take()[-1]["offset"] == LONG + 1
        held.let.set()
        assert await entering is None
        offsets = [frame["offset"] for frame in held.take() if frame["type"] == "message"]
        assert offsets == list(range(1, LONG + 2))
        await wrote(backends, Change(DEFAULT_ROOM, ROOT, Action.KICK, user=BOB), Post(DEFAULT_ROOM, ANN, "gone"))
        for wire in (first, held):
            assert [frame.get("change") for frame in wire.take()] == ["kicked", "kicked"]
        assert not one.rooms and not two.rooms and not backends.hub.rooms


async def test_a_room_may_be_forgotten_while_somebody_comes_in() -> None:
    """The last one leaves in the middle of another's replay, which goes on in the room as it opens anew."""
    async with chat() as backends:
        epoch = (await backends.store.room(DEFAULT_ROOM)).epoch  # type: ignore[union-attr]
        await backends.store.append([Post(DEFAULT_ROOM, ANN, f"m{number}") for number in range(LONG)])
        last, held = live(backends, SlowWire(), "ann"), HeldWire()
        bob = live(backends, held)
        await backends.chat.entrance.enter(last, join())
        entering = asyncio.create_task(backends.chat.entrance.enter(bob, join(0, epoch)))
        await held.reached.wait()
        await backends.chat.goodbye(last, said_so=True)
        assert not backends.hub.rooms
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "nobody hears"))
        held.let.set()
        assert await entering is None
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "bob hears"))
        offsets = [frame["offset"] for frame in held.take() if frame["type"] == "message"]
        assert offsets == list(range(1, LONG + 3))


async def test_an_outage_before_the_answer_is_one_to_wait_for() -> None:
    """Nothing was said, nothing is kept: neither a place nor a room."""
    async with chat() as backends:
        wire = SlowWire()
        bob = live(backends, wire)
        await backends.presence.acquire(bob.id, BOB, bob.address.limited)
        await backends.store.close()
        with pytest.raises(StoreDown):
            await backends.chat.entrance.enter(bob, join())
        await backends.store.open()
        assert wire.take() == [] and wire.closed == [] and not backends.hub.rooms
        assert not await backends.presence.online(DEFAULT_ROOM)


async def test_an_outage_behind_the_answer_ends_the_connection() -> None:
    """The client was told that it is in: only a new connection can tell it otherwise, and nothing is lost by it."""
    async with chat() as backends:
        epoch = (await backends.store.room(DEFAULT_ROOM)).epoch  # type: ignore[union-attr]
        await backends.store.append([Post(DEFAULT_ROOM, ANN, f"m{number}") for number in range(LONG)])
        held = HeldWire()
        bob = live(backends, held)
        await backends.presence.acquire(bob.id, BOB, bob.address.limited)
        entering = asyncio.create_task(backends.chat.entrance.enter(bob, join(0, epoch)))
        await held.reached.wait()
        await backends.store.close()
        held.let.set()
        assert await entering is None
        await backends.store.open()
        assert held.closed == [(4000, "slow_consumer")]
        offsets = [frame["offset"] for frame in held.take() if frame["type"] == "message"]
        assert offsets == list(range(1, len(offsets) + 1))
        assert not bob.rooms and not backends.hub.rooms and not await backends.presence.online(DEFAULT_ROOM)


@pytest.mark.parametrize(
    ("after", "other", "outcome"),
    [(1, False, "recovered"), (99, False, "unknown_offset"), (1, True, "other_epoch"), (0, False, "too_old")],
)
async def test_each_recovery_is_counted_by_its_outcome(after: int, other: bool, outcome: str) -> None:
    """And a join that asks for none is not."""
    async with chat() as backends:
        state = await backends.store.room(DEFAULT_ROOM)
        assert state is not None
        await backends.store.append([Post(DEFAULT_ROOM, ANN, "hi") for _ in range(4)])
        await backends.store.retain(time.time(), 1e9, 3)
        bob = live(backends, SlowWire())
        await backends.chat.entrance.enter(bob, join(after, "other" if other else state.epoch))
        await backends.chat.entrance.enter(live(backends, SlowWire()), join())
        counts = {
            name: backends.metrics.registry.get_sample_value("chat_recoveries_total", {"outcome": name})
            for name in RECOVERIES
        }
        assert counts == dict.fromkeys(RECOVERIES, 0.0) | {outcome: 1.0}
