"""A resume is whole or none: whatever the history, the offset, the retention and whoever posts meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import fields
from app.backends import Backends, build, opened
from app.connection import Connection
from app.keys import create_key
from app.model import DEFAULT_ROOM, Change, Event, Post, Stored, UserName
from app.roles import Action
from app.settings import Settings
from app.store import Store
from app.verbs import Join
from app.verdict import Denied, ErrorCode
from tests.patience import THOROUGH
from tests.unit.live import PaperWire, connection

ANN, BOB, ROOT = UserName("ann"), UserName("bob"), UserName("root")
LONG = 400
"""More than is kept in memory, and more than one page of the store."""


@contextlib.asynccontextmanager
async def chat(**settings: Any) -> AsyncIterator[Backends]:
    """A whole process of the chat but for its sockets, with three accounts."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        (state / "data").mkdir(mode=0o700)
        create_key(state / "secrets" / "signing")
        chosen = Settings(state=state, **settings)
        Store.migrate(chosen.database)
        backends = build(chosen)
        async with opened(backends):
            for name in (ANN, BOB, ROOT):
                await backends.store.create_account(name, "!", admin=name == ROOT)
            yield backends


class SlowWire(PaperWire):
    """Lets somebody else go first whenever it is waited for."""

    def __init__(self, pauses: Sequence[int] = ()) -> None:
        super().__init__()
        self._pauses = list(pauses)
        self.waited = 0

    async def drained(self) -> bool:
        self.waited += 1
        for _ in range(self._pauses.pop() if self._pauses else 0):
            await asyncio.sleep(0)
        return not self.closed


class HeldWire(PaperWire):
    """A reader that takes nothing more until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.let = asyncio.Event(), asyncio.Event()

    async def drained(self) -> bool:
        self.reached.set()
        await self.let.wait()
        return not self.closed


def live(backends: Backends, wire: PaperWire, user: str = "bob") -> Connection:
    """A user's connection on that wire."""
    made, _ = connection(user)
    made._wire = wire
    backends.hub.add(made)
    return made


def join(after: int | None = None, epoch: str | None = None, room: str = DEFAULT_ROOM) -> Join:
    """The verb."""
    return Join(type="join", room=room, after=after, epoch=epoch, id="j")


async def wrote(backends: Backends, *writes: Post | Change) -> list[Event]:
    """The events that these made, stored and delivered."""
    answers = [await backends.rooms.write(write) for write in writes]
    return [answer.event for answer in answers if isinstance(answer, Stored)]


@dataclass
class Story:
    """What happens in a room before, and while, somebody comes back."""

    before: list[str]
    during: list[str]
    after: int
    other_epoch: bool
    kept: int
    sweeps: int
    pauses: list[int] = field(default_factory=list)


ACTS = st.sampled_from(["post", "post", "post", "edit", "delete", "mute", "sweep"])
STORIES = st.builds(
    Story,
    before=st.lists(ACTS, max_size=30),
    during=st.lists(ACTS, max_size=12),
    after=st.integers(0, 40),
    other_epoch=st.sampled_from([False, False, False, True]),
    kept=st.integers(1, 40),
    sweeps=st.integers(0, 3),
    pauses=st.lists(st.integers(0, 6), max_size=6),
)


async def act(backends: Backends, what: str, kept: int) -> None:
    """One step of a story."""
    state = await backends.store.room(DEFAULT_ROOM)
    assert state is not None
    if what == "sweep":
        await backends.store.retain(time.time(), 3600.0, kept)
    elif what == "post":
        await wrote(backends, Post(DEFAULT_ROOM, ANN, f"text {state.offset}", f"id{state.offset}"))
    elif what == "mute":
        muted = await backends.store.entry(DEFAULT_ROOM, UserName("ann"))
        assert muted is not None
        action = Action.UNMUTE if muted.muted_until else Action.MUTE
        await wrote(backends, Change(DEFAULT_ROOM, ROOT, action, user=ANN))
    else:
        action = Action.EDIT if what == "edit" else Action.DELETE
        await wrote(backends, Change(DEFAULT_ROOM, ANN, action, target=max(1, state.offset // 2), message="edited"))


@hypothesis.settings(max_examples=400 if THOROUGH else 60, deadline=None)
@given(STORIES)
def test_a_resume_is_whole_or_none(story: Story) -> None:
    """Recovered exactly when the epoch is the same and nothing above `after` is gone; then every offset above it comes,
    once and in order, as the store has it; otherwise nothing from before, and every one from then on."""
    asyncio.run(_come_back(story))


async def _come_back(story: Story) -> None:
    async with chat() as backends:
        for what in story.before:
            await act(backends, what, story.kept)
        state = await backends.store.room(DEFAULT_ROOM)
        assert state is not None
        wire = SlowWire(story.pauses)
        bob = live(backends, wire)

        async def meanwhile() -> None:
            for what in story.during:
                await act(backends, what, story.kept)

        epoch = "another" if story.other_epoch else state.epoch
        busy = asyncio.create_task(meanwhile())
        denied = await backends.chat.entrance.enter(bob, join(story.after, epoch))
        await busy
        assert denied is None
        await _is_whole(backends, wire, story)


async def _is_whole(backends: Backends, wire: PaperWire, story: Story) -> None:
    frames = wire.take()
    joined, *rest = [frame for frame in frames if frame["type"] not in ("presence", "membership")]
    assert joined["type"] == "joined"
    state = await backends.store.room(DEFAULT_ROOM)
    assert state is not None
    if joined["recovered"]:
        assert joined["offset"] == story.after and not story.other_epoch
    else:
        assert joined["offset"] == joined["newest"]
        assert story.other_epoch or story.after > joined["newest"] or story.after < state.floor
    offsets = [frame["offset"] for frame in rest]
    assert offsets == list(range(joined["offset"] + 1, joined["offset"] + 1 + len(offsets)))
    if wire.closed:
        assert wire.closed == [(4000, "slow_consumer")]
        return
    assert joined["offset"] + len(offsets) == state.offset, "up to the end"
    stored = {event.offset: event for event in await backends.store.events(DEFAULT_ROOM, 0, 1000)}
    for frame in rest:
        event = stored.get(frame["offset"])
        # An edit or a deletion that came after the frame was written is told by its own event.
        if event is not None and event.facts is None and event.message:
            assert frame == fields.event(event)


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
        room = backends.hub.rooms[DEFAULT_ROOM]
        while room.repairing is not None:
            await room.repairing
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
        room = backends.hub.rooms.get(DEFAULT_ROOM)
        while room is not None and room.repairing is not None:
            await room.repairing
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
        assert await entering == Denied(ErrorCode.REMOVED)
        offsets = [frame["offset"] for frame in wire.take() if frame["type"] == "message"]
        assert offsets == list(range(1, len(offsets) + 1)) and len(offsets) < ban.offset
        assert not bob.rooms


async def test_places_are_given_back_where_nobody_came_in() -> None:
    """A full room, an unknown one, a banned user: none leaves a trace."""
    async with chat(connections_per_room=1) as backends:
        first, second = live(backends, SlowWire(), "ann"), live(backends, SlowWire(), "bob")
        for one in (first, second):
            assert await backends.presence.acquire(one.id, one.identity.user, one.address.limited) is None
        assert await backends.chat.entrance.enter(first, join()) is None
        full = await backends.chat.entrance.enter(second, join())
        assert full is not None and full.code is ErrorCode.ROOM_FULL
        unknown = await backends.chat.entrance.enter(second, join(room="nowhere"))
        assert unknown == Denied(ErrorCode.ROOM_UNKNOWN)
        await backends.chat.goodbye(first, said_so=True)
        await wrote(backends, Change(DEFAULT_ROOM, ROOT, Action.BAN, user=BOB))
        banned = await backends.chat.entrance.enter(second, join())
        assert banned is not None and banned.code is ErrorCode.BANNED
        await wrote(backends, Change(DEFAULT_ROOM, ROOT, Action.UNBAN, user=BOB))
        assert await backends.chat.entrance.enter(second, join()) is None
        assert set(backends.hub.rooms) == {DEFAULT_ROOM}
        await backends.chat.goodbye(second, said_so=True)
        assert not backends.hub.rooms


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
