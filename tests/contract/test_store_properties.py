"""What holds after any sequence of posts, changes, edits, deletes and retention, over any stretch of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.model import Change, Event, EventKind, Post, Stored, UserName
from app.roles import Action, Role
from app.store import Store
from tests.contract.folk import ADMIN, MEMBER, MODERATOR, OTHER_MEMBER, OUTSIDER, OWNER
from tests.contract.house import ROOM, change, dump, everything, execute, furnish, opened, state_of
from tests.contract.shelves import Shelf
from tests.patience import THOROUGH

DAY = 86_400.0
SAID = {Action.POST, Action.EDIT, Action.DELETE, Action.DELETE_ANY}
READS = {Action.SEE, Action.HISTORY, Action.READ, Action.MEMBERS, Action.TYPING, Action.AUDIT}
USERS = st.sampled_from([OWNER, MODERATOR, MEMBER, OTHER_MEMBER, OUTSIDER, ADMIN])
IDS = st.none() | st.sampled_from(["a", "b", "c"])
WRITERS = st.sampled_from([OWNER, MEMBER])
BACK = st.integers(0, 2)
OTHERS = st.sampled_from([action for action in Action if action not in SAID | READS])
Step = tuple[str, dict[str, Any]]


def step(name: str, **about: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """A step of the story: a method's name and what it is given."""
    return st.tuples(st.just(name), st.fixed_dictionaries(about))


STEPS = st.one_of(
    step("post", sender=WRITERS, client_id=IDS, trusted=st.booleans()),
    step("post", sender=WRITERS, client_id=IDS, trusted=st.booleans()),
    step("edit", sender=st.none() | USERS, back=BACK, client_id=IDS),
    step("delete", sender=st.none() | USERS, back=BACK, client_id=IDS),
    step("change", sender=USERS, action=OTHERS, user=USERS, client_id=IDS),
    step("retain", events=st.integers(1, 6), seconds=st.sampled_from([DAY / 2, 9 * DAY]), times=st.integers(1, 2)),
    step("wait", seconds=st.sampled_from([1.0, 3600.0, 0.7 * DAY, 3 * DAY])),
)


class Story:
    """The store beside a model of what it has to remember."""

    def __init__(self, store: Store, now: float) -> None:
        self.store = store
        self.now = now
        self.written = 0
        self.offset = self.access = self.floor = 0
        self.events: dict[int, Event] = {}
        self.texts: dict[int, list[str]] = {}
        """Every text that a message ever had."""
        self.erased: list[str] = []
        self.first: dict[tuple[UserName, str], tuple[int, float]] = {}
        """The offset that an id got, and when."""

    async def begin(self) -> None:
        """Take over the furnished room."""
        self.events = {event.offset: event for event in await everything(self.store, ROOM)}
        self.offset = self.access = len(self.events)

    def text(self) -> str:
        """One that was never said before, and is no part of another."""
        self.written += 1
        return f"<text {self.written}>"

    async def take(self, step: Step) -> None:
        """One step, then everything that has to hold."""
        name, about = step
        if name == "wait":
            self.now += about["seconds"]
        elif name == "retain":
            await self.retain(**about)
        else:
            await self.write(getattr(self, name)(**about))
        await self.check()

    def post(self, sender: UserName, client_id: str | None, trusted: bool) -> Post:
        """As of now, or to be checked by the store."""
        return Post(ROOM, sender, self.text(), client_id, self.access if trusted else -1)

    def edit(self, sender: UserName | None, back: int, client_id: str | None) -> Change:
        """One of the newest messages, by its author or by anybody."""
        target, text = self.target(back), self.text()
        author = self.events[target].sender
        return change(sender or author, Action.EDIT, target=target, message=text, client_id=client_id)

    def delete(self, sender: UserName | None, back: int, client_id: str | None) -> Change:
        """The same."""
        target = self.target(back)
        author = self.events[target].sender
        return change(sender or author, Action.DELETE, target=target, client_id=client_id)

    def target(self, back: int) -> int:
        """A message that is not deleted, or what is no message at all."""
        return [1, 1, 1, *sorted(self.texts)][-1 - back]

    async def retain(self, events: int, seconds: float, times: int) -> None:
        """Sweep; the floor is where the longer of number and age puts it."""
        for _ in range(times):
            while await self.store.retain(self.now, seconds, events):
                pass
        old = [offset for offset, event in self.events.items() if event.timestamp < self.now - seconds]
        floor = max(self.floor, self.offset - events, *old[-1:])
        assert (await state_of(self.store)).floor == floor

    def change(self, sender: UserName, action: Action, user: UserName, client_id: str | None) -> Change:
        """Anything else, for half a day where it has an end."""
        facts = {"title": self.text()} if action is Action.RENAME else {"public": self.written % 2 == 0}
        until = self.now + DAY / 2
        return change(sender, action, client_id=client_id, user=user, role=Role.MODERATOR, until=until, facts=facts)

    async def write(self, write: Post | Change) -> None:
        """Carry it out here and there."""
        (answer,) = await self.store.append([write])
        key = None if write.client_id is None else (write.sender, write.client_id)
        if not isinstance(answer, Stored):
            return
        if answer.repeated:
            assert key is not None
            assert answer.event.offset == self.first[key][0]
            return
        event = answer.event
        assert event.offset == self.offset + 1
        if key is not None:
            # Within a day an id is never given a second offset.
            assert key not in self.first or self.first[key][1] <= self.now - DAY
            self.first[key] = (event.offset, event.timestamp)
        self.remember(event)

    def remember(self, event: Event) -> None:
        """The room moves on, and what was said before changes with it."""
        assert event.timestamp >= self.events[self.offset].timestamp
        self.offset = event.offset
        self.access += event.kind in (EventKind.MEMBER, EventKind.ROOM)
        self.events[event.offset] = event
        target: int = (event.facts or {}).get("target", 0)
        if event.kind is EventKind.MESSAGE:
            self.texts[event.offset] = [event.message]
        elif event.kind is EventKind.EDITED:
            assert self.texts[target], "deleted messages are not edited"
            self.texts[target].append(event.message)
        elif event.kind is EventKind.DELETED:
            self.erased += self.texts.pop(target)

    async def check(self) -> None:
        """Offsets, access, floor, history and members, as of now."""
        state = await state_of(self.store)
        assert (state.offset, state.access) == (self.offset, self.access)
        assert self.floor <= state.floor <= state.offset
        self.floor = state.floor
        history = await everything(self.store, ROOM, self.floor)
        assert [event.offset for event in history] == list(range(self.floor + 1, self.offset + 1))
        for event in history:
            first = self.events[event.offset]
            assert (event.kind, event.sender, event.timestamp) == (first.kind, first.sender, first.timestamp)
            if event.kind is EventKind.MESSAGE:
                texts = self.texts.get(event.offset)
                assert event.message == (texts[-1] if texts else "")
                assert bool((event.facts or {}).get("deleted")) == (texts is None)
        assert history == await everything(self.store, ROOM, 0) or self.floor > 0
        newest = await self.store.events_before(ROOM, None, 1000)
        assert newest == history


@pytest.fixture(scope="module")
def furnished(shelf: Shelf) -> Iterator[str]:
    """The URL of a store with the furnished room."""

    async def prepare() -> None:
        async with opened(url) as store:
            await furnish(store)

    url = shelf.fresh()
    asyncio.run(prepare())
    yield url
    shelf.drop(url)


# A story takes half a second on PostgreSQL.
@settings(max_examples=1000 if THOROUGH else 50)
@given(st.lists(STEPS, min_size=25, max_size=40))
def test_any_story_holds_together(shelf: Shelf, furnished: str, steps: list[Step]) -> None:
    """Offsets are consecutive, access counts, the floor only rises, history is whole above it, ids keep their offset
    for a day, and what was deleted is in no row of any table."""
    url = shelf.copy(furnished)
    try:
        with pytest.MonkeyPatch.context() as patch:
            asyncio.run(_tell(url, steps, patch))
    finally:
        shelf.drop(url)


async def _tell(url: str, steps: list[Step], patch: pytest.MonkeyPatch) -> None:
    async with opened(url) as store:
        story = Story(store, time.time())
        patch.setattr(time, "time", lambda: story.now)
        await story.begin()
        for step in steps:
            await story.take(step)
        everything_stored = dump(url)
        assert not [text for text in story.erased if text in everything_stored]
    counted = "SELECT members, (SELECT count(*) FROM members WHERE room = rooms.id AND role IS NOT NULL) FROM rooms"
    for count, rows in execute(url, counted):
        assert count == rows
