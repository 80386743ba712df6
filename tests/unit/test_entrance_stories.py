"""A resume is whole or none, whatever the history, the offset and the retention, and whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import entrance, hub, live_room, repair
from app.backends import Backends
from app.model import Change, Entry, Event, Post, RoomId, Stored, UserName
from app.roles import Action
from app.verdict import ERRORS, Denied, ErrorCode
from tests.patience import PATIENCE, THOROUGH
from tests.unit.entering import ANN, BOB, chat, join, live
from tests.unit.live import PaperWire, mended

_NUMBERS = itertools.count(1)
BEHIND = st.integers(0, 6)
ACTS = (
    st.sampled_from(["post", "post", "posts", "rename", "mute"])
    | st.builds("edit {}".format, BEHIND)
    | st.builds("delete {}".format, BEHIND)
)
"""Edits and deletions are of what was so far behind the newest event."""
SWEEPS = st.integers(1, 30).map(lambda kept: f"keep {kept}")
MEANWHILE = ACTS | SWEEPS | st.just("lose")


@dataclass(frozen=True)
class Story:
    """What happened before somebody comes back, what between the store's answer and its use, what whenever the reader
    is waited for, and what at the same time."""

    before: list[str]
    between: list[str]
    reading: list[str]
    beside: list[str]
    behind: int
    """How far the last offset that they have is below the newest one."""
    watched: bool
    """Whether somebody else is live there all the time."""
    other_epoch: bool
    page: int
    recent: int


STORIES = st.builds(
    Story,
    before=st.lists(ACTS | SWEEPS, max_size=20),
    between=st.lists(st.sampled_from(["nothing", "nothing", "kick"]) | MEANWHILE, max_size=10),
    reading=st.lists(MEANWHILE | st.just("kick"), max_size=20),
    beside=st.lists(MEANWHILE | st.just("kick"), max_size=10),
    behind=st.integers(-1, 20),
    watched=st.booleans(),
    other_epoch=st.sampled_from([False] * 4 + [True]),
    page=st.integers(1, 6),
    recent=st.integers(1, 12),
)


class Stage:
    """One process of the chat for all stories, each in a room of its own, with a broker that loses what it is told."""

    def __init__(self, backends: Backends) -> None:
        self.backends = backends
        self.room = RoomId("none")
        self.kicked: int | None = None
        self.between: deque[str] = deque()
        self.wire = PaperWire()
        self._losing = False
        self.lost = False
        """Whether the room's last batch was."""
        self._entry, self._events = backends.store.entry, backends.store.events
        backends.store.entry = self._late_entry  # type: ignore[method-assign]
        backends.store.events = self._late_events  # type: ignore[method-assign]
        self._publish, backends.batch._publish = backends.batch._publish, self._lossy

    async def open(self) -> None:
        """A new room of ann's, with bob in it."""
        self.room, self.kicked, self._losing, self.lost = RoomId(f"story-{next(_NUMBERS)}"), None, False, False
        await self.backends.store.create_room(self.room, "Story", True, ANN, None, 1_000_000)
        await self.write([Change(self.room, BOB, Action.JOIN, rooms_at_most=1_000_000)])

    async def act(self, what: str) -> None:
        """One step; what comes to nothing (a deleted message cannot be edited) is none."""
        store = self.backends.store
        state = await store.room(self.room)
        assert state is not None
        # Who is removed from a public room before they come in joins it anew.
        if what == "nothing" or (what == "kick" and not self._greeted()):
            return
        match what.split():
            case ["keep", kept]:
                # The first takes out of reach, the second removes.
                for _ in range(2):
                    await store.retain(time.time(), 1e9, int(kept))
            case ["lose"]:
                self._losing = True
            case ["posts"]:
                await self.write([Post(self.room, ANN, f"{state.offset} {number}") for number in range(5)])
            case ["post"]:
                await self.write([Post(self.room, ANN, f"{state.offset}", access=state.access)])
            case ["kick"]:
                (stored,) = await self.write([Change(self.room, ANN, Action.KICK, user=BOB)])
                self.kicked = stored.event.offset if isinstance(stored, Stored) else self.kicked
            case ["rename"]:
                await self.write([Change(self.room, ANN, Action.RENAME, facts={"title": f"{state.offset}"})])
            case ["mute"]:
                change = Change(self.room, ANN, Action.MUTE, user=BOB, until=time.time() + 60 + state.offset)
                await self.write([change])
            case [other, behind]:
                target, text = max(1, state.offset - int(behind)), f"{state.offset}'"
                await self.write([Change(self.room, ANN, Action(other), target=target, message=text)])

    async def write(self, writes: Sequence[Post | Change]) -> list[Stored | Denied]:
        return await asyncio.gather(*map(self.backends.rooms.write, writes))

    async def settle(self) -> None:
        """Have everything delivered: if the last notice was lost, the next event tells; else none is needed. After a
        removal one more shows whether it was one."""
        self.between.clear()
        self._losing = False
        await self._repaired()
        if self.lost or self.kicked is not None:
            await self.act("post")
            await self._repaired()

    async def _repaired(self) -> None:
        await mended(self.backends.hub, self.room)

    async def _late_entry(self, room: RoomId, user: UserName) -> Entry | None:
        found = await self._entry(room, user)
        await self._meanwhile()
        return found

    async def _late_events(self, room: RoomId, after: int, limit: int) -> list[Event]:
        await self._meanwhile()
        found = await self._events(room, after, limit)
        await self._meanwhile()
        return found

    async def _meanwhile(self) -> None:
        # A removal waits until there is somebody to be removed.
        if self.between and (self.between[0] != "kick" or self._greeted()):
            await self.act(self.between.popleft())

    def _greeted(self) -> bool:
        return b'"joined"' in self.wire.data

    async def _lossy(self, events: Sequence[Event]) -> None:
        losing, self._losing = self._losing, False
        if any(event.room == self.room for event in events):
            self.lost = losing
        if not losing:
            await self._publish(events)


class StoryWire(PaperWire):
    """Something happens in the room whenever the reader is waited for."""

    def __init__(self, stage: Stage, acts: Sequence[str]) -> None:
        super().__init__()
        self._stage = stage
        self._acts = deque(acts)

    async def drained(self) -> bool:
        if self._acts:
            await self._stage.act(self._acts.popleft())
        return not self.closed


@pytest.fixture(scope="module")
def run() -> Iterator[Any]:
    """Run a story on the stage."""
    with asyncio.Runner() as runner:
        process = chat()
        stage = Stage(runner.run(process.__aenter__()))
        yield lambda story: runner.run(asyncio.wait_for(tell(stage, story), PATIENCE))
        runner.run(process.__aexit__(None, None, None))


@hypothesis.settings(max_examples=1000 if THOROUGH else 100)
@given(STORIES)
def test_a_resume_is_whole_or_none(run: Any, story: Story) -> None:
    """Recovered exactly when the epoch is the same and nothing above `after` is gone. Then every offset above it comes,
    once and in order, as the store has it; otherwise every one from then on. Where that cannot be, the connection is
    closed with nothing sent above the gap; nothing comes above a removal."""
    run(story)


async def tell(stage: Stage, story: Story) -> None:
    backends = stage.backends
    with (
        mock.patch.object(entrance, "_PAGE", story.page),
        mock.patch.object(entrance, "_AT_ONCE", 2),
        mock.patch.object(repair, "_PAGE", story.page),
        mock.patch.object(hub, "_HOLD", 0.0),
        mock.patch.object(live_room, "_RECENT", story.recent),
    ):
        await stage.open()
        watcher = live(backends, PaperWire(), ANN)
        if story.watched:
            await backends.chat.entrance.enter(watcher, join(room=stage.room))
        for what in story.before:
            await stage.act(what)
        before = await backends.store.room(stage.room)
        assert before is not None
        after = max(0, before.offset - story.behind)
        stage.wire = wire = StoryWire(stage, story.reading)
        stage.between.extend(story.between)
        bob = live(backends, wire)
        verb = join(after, "another" if story.other_epoch else before.epoch, stage.room)
        beside = asyncio.create_task(_all(stage, story.beside))
        denied = await backends.chat.entrance.enter(bob, verb)
        await beside
        await stage.settle()
        check_ending(stage, wire, denied)
        await check_frames(stage, wire, after, None if story.other_epoch else before.floor)
        for connection in (bob, watcher):
            await backends.chat.goodbye(connection, said_so=True)
        assert stage.room not in backends.hub.rooms


async def _all(stage: Stage, acts: Sequence[str]) -> None:
    for what in acts:
        await stage.act(what)


REMOVED = ERRORS[ErrorCode.REMOVED].text


def check_ending(stage: Stage, wire: PaperWire, denied: Denied | None) -> None:
    """Denied only by a removal before the answer, closed only by retention."""
    assert denied is None or (denied.code is ErrorCode.REMOVED and stage.kicked is not None)
    assert wire.closed in ([], [(4000, "slow_consumer")], [(1013, "try_later")])


async def check_frames(stage: Stage, wire: PaperWire, after: int, floor: int | None) -> None:
    """`floor` as it was when they asked; None in another epoch."""
    joined, *events = [frame for frame in wire.take() if frame["type"] not in ("membership", "presence")]
    if events and events[-1]["type"] == "error":
        # A removal during the replay is told by nothing else, and answers no frame.
        assert stage.kicked is not None
        assert events.pop() == {"type": "error", "code": "removed", "error": REMOVED, "room": stage.room}
    state = await stage.backends.store.room(stage.room)
    assert state is not None and joined["type"] == "joined"
    possible = floor is not None and after <= joined["newest"]
    if joined["recovered"]:
        assert possible and joined["offset"] == after and after >= (floor or 0)
    else:
        assert joined["offset"] == joined["newest"]
        assert not possible or after < state.floor
    last = joined["offset"] + len(events)
    assert [event["offset"] for event in events] == list(range(joined["offset"] + 1, last + 1))
    if wire.closed:
        left = await stage.backends.store.events(stage.room, last, 1)
        assert not left or left[0].offset > last + 1, "it could have gone on"
    elif stage.kicked is not None:
        assert last <= stage.kicked
    else:
        assert last == state.offset
    await check_content(stage, events, joined["newest"])


async def check_content(stage: Stage, events: Sequence[dict[str, Any]], newest: int) -> None:
    """Whoever applies the events to each other has in the end what the store has; what was deleted before the answer
    is not said again."""
    texts = {event["offset"]: event["message"] for event in events if event["type"] == "message"}
    stored = await stage.backends.store.events(stage.room, 0, 1000)
    for event in stored:
        if event.kind == "deleted" and event.offset <= newest:
            assert not texts.get((event.facts or {})["target"])
    for frame in events:
        if frame["type"] in ("edited", "deleted") and frame["target"] in texts:
            texts[frame["target"]] = frame.get("message", "")
    reached = events[-1]["offset"] if events else newest
    later = {(event.facts or {}).get("target") for event in stored if event.offset > reached}
    for event in stored:
        if event.offset in texts and event.offset not in later:
            assert texts[event.offset] == event.message
