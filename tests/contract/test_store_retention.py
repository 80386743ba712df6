"""Retention: what is out of reach, what is removed, and what a late retry still finds."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.model import DEFAULT_ROOM, Event
from app.roles import Action
from app.store import Store
from tests.contract.house import (
    ANN,
    MEMBER,
    OWNER,
    ROOM,
    change,
    dump,
    everything,
    furnish,
    opened,
    passes,
    post,
    state_of,
)

DAY = 86_400.0
LONG = 1e9


class Clock:
    """The time that the store is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It stands still until it is moved."""
    return Clock(monkeypatch)


async def sweep(store: Store, now: float, seconds: float = LONG, events: int = 10_000) -> list[int]:
    """Call until nothing is left to do; what each step removed."""
    steps: list[int] = []
    while gone := await store.retain(now, seconds, events):
        steps.append(gone)
    return steps


async def offsets(store: Store) -> list[int]:
    """What is there of the default room, the floor aside."""
    return [event.offset for event in await everything(store)]


async def test_only_the_newest_events_are_kept(store: Store) -> None:
    """First they go out of reach, then, a sweep later, they are removed."""
    await passes(store, [post(str(n)) for n in range(10)])
    assert await sweep(store, time.time(), events=4) == []
    assert (await state_of(store, DEFAULT_ROOM)).floor == 6
    assert await offsets(store) == list(range(1, 11))
    assert [event.offset for event in await store.events_before(DEFAULT_ROOM, None, 50)] == [7, 8, 9, 10]
    assert await sweep(store, time.time(), events=4) == [6]
    assert await offsets(store) == [7, 8, 9, 10]
    assert await sweep(store, time.time(), events=4) == []


async def test_old_events_are_not_kept(store: Store, clock: Clock) -> None:
    """Whichever reaches further counts: their number or their age."""
    for _ in range(3):
        await passes(store, [post("x"), post("y")])
        clock.now += 100
    await sweep(store, clock.now, seconds=150)
    assert (await state_of(store, DEFAULT_ROOM)).floor == 4
    await sweep(store, clock.now, seconds=150, events=1)
    assert (await state_of(store, DEFAULT_ROOM)).floor == 5
    await sweep(store, clock.now + 1000, seconds=150)
    assert (await state_of(store, DEFAULT_ROOM)).floor == 6
    await sweep(store, clock.now + 1000, seconds=150)
    assert await offsets(store) == []
    stored = await passes(store, [post("next")])
    assert stored[0].event.offset == 7


async def test_the_floor_never_goes_back(store: Store) -> None:
    """Also when more is to be kept from now on."""
    await passes(store, [post("x") for _ in range(10)])
    await sweep(store, time.time(), events=2)
    await sweep(store, time.time(), events=100)
    assert (await state_of(store, DEFAULT_ROOM)).floor == 8


async def test_a_step_is_bounded(store: Store) -> None:
    """At most 2000 rows at once, over all rooms; the sum is everything."""
    await furnish(store)
    for _ in range(5):
        await passes(store, [post("x") for _ in range(700)])
        await passes(store, [post("x", None, OWNER, ROOM) for _ in range(100)])
    await sweep(store, time.time(), events=1)
    there = (await state_of(store)).offset
    steps = await sweep(store, time.time(), events=1)
    assert steps == [2000, 2000, 3499 + there - 1 - 4000]
    assert await offsets(store) == [3500]


async def test_an_id_keeps_its_offset_for_a_day(store: Store, clock: Clock, url: str) -> None:
    """Its text is gone all the same; after a day it may be used anew."""
    sent = [post("hush", "a"), post("hush"), post("hush", "b"), post("last")]
    first = await passes(store, sent)
    await sweep(store, clock.now, events=1)
    assert await sweep(store, clock.now, events=1) == [3]
    assert "hush" not in dump(url)
    assert await offsets(store) == [4]
    again = await passes(store, [sent[0], sent[2]])
    assert [stored.repeated for stored in again] == [True, True]
    assert [stored.event.offset for stored in again] == [1, 3]
    assert [stored.event.timestamp for stored in again] == [first[0].event.timestamp, first[2].event.timestamp]
    clock.now += DAY - 1
    assert await sweep(store, clock.now) == []
    clock.now += 2
    assert await sweep(store, clock.now) == [2]
    (anew,) = await passes(store, [sent[0]])
    assert (anew.event.offset, anew.repeated) == (5, False)


async def test_ids_that_are_kept_do_not_slow_down_the_sweep(store: Store, clock: Clock) -> None:
    """Those that are a day old go step by step, the others are left alone."""
    for part in range(3):
        await passes(store, [post("x", f"{part}-{n}") for n in range(1000)])
        clock.now += 1000
    await sweep(store, clock.now, events=1)
    assert await sweep(store, clock.now, events=1) == [2000, 999]
    assert await sweep(store, clock.now, events=1) == []
    clock.now += DAY - 1500
    assert await sweep(store, clock.now, events=1) == [2000]


async def test_a_repeated_change_is_answered_when_its_facts_are_gone(store: Store) -> None:
    """The offset is what the ack needs."""
    await furnish(store)
    leave = change(MEMBER, Action.LEAVE, client_id="bye")
    (first,) = await passes(store, [leave])
    await passes(store, [post("x", None, OWNER, ROOM)])
    for _ in range(2):
        await sweep(store, time.time(), events=1)
    (again,) = await passes(store, [leave])
    assert (again.repeated, again.event.offset, again.event.facts) == (True, first.event.offset, None)


async def test_a_room_made_once_is_not_made_again_when_its_first_event_is_gone(store: Store) -> None:
    """The id of its making lasts as long as the room."""
    await store.create_room(ROOM, "Den", False, ANN, "a", 64)
    for _ in range(2):
        await sweep(store, time.time() + 2 * DAY, seconds=1)
    assert await store.events(ROOM, 0, 10) == []
    assert getattr(await store.create_room(ROOM, "Den", False, ANN, "a", 64), "repeated", None)


async def test_roles_and_the_audit_log_outlive_the_events(store: Store) -> None:
    """Retention is about history, not about who may do what."""
    await furnish(store)
    before = await store.members(ROOM), await store.audit(ROOM, None, 1000)
    for _ in range(2):
        await sweep(store, time.time() + 2 * DAY, seconds=1)
    assert await store.events(ROOM, 0, 10) == []
    assert (await store.members(ROOM), await store.audit(ROOM, None, 1000)) == before


async def test_a_replay_sees_everything_or_a_gap_at_the_start_of_a_page(url: str) -> None:
    """Two hundred pages are read while another store sweeps: no page has a hole, none leaves one unseen."""
    async with opened(url) as reader, opened(url) as sweeper:
        await passes(sweeper, [post("x", f"{n}" if n % 3 else None) for n in range(4000)])
        done = asyncio.Event()

        async def shrink() -> None:
            for kept in range(3900, 0, -100):
                await sweep(sweeper, time.time(), events=kept)
            done.set()

        task = asyncio.create_task(shrink())
        replays = overtaken = 0
        while not done.is_set():
            cursor = (await state_of(reader, DEFAULT_ROOM)).floor
            while page := await reader.events(DEFAULT_ROOM, cursor, 20):
                assert consecutive(page)
                if page[0].offset != cursor + 1:
                    overtaken += 1
                    break
                cursor = page[-1].offset
            else:
                replays += 1
                assert cursor == 4000
        await task
    assert replays + overtaken > 0


def consecutive(page: list[Event]) -> bool:
    """Whether no offset is missing between the first and the last."""
    return [event.offset for event in page] == list(range(page[0].offset, page[0].offset + len(page)))
