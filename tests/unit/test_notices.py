"""Join and leave notices: coalesced, quiet in large rooms, and silent about who comes right back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app import notices as module
from app.model import DEFAULT_ROOM, UserName
from app.notices import Notices

ANN, BOB = UserName("ann"), UserName("bob")


class Room:
    """What was announced, and how many are in it."""

    def __init__(self) -> None:
        self.size = 2
        self.online: set[str] = set()
        self.told: asyncio.Queue[tuple[list[str], list[str]]] = asyncio.Queue()
        self.typing: asyncio.Queue[list[str]] = asyncio.Queue()
        self.broken = False
        self.failed = asyncio.Event()

    async def notify(self, _room: str, joined: Sequence[str], left: Sequence[str]) -> None:
        if self.broken:
            self.broken = False
            self.failed.set()
            raise OSError
        self.told.put_nowait((list(joined), list(left)))

    async def say_typing(self, _room: str, users: Sequence[str]) -> None:
        self.typing.put_nowait(list(users))

    async def there(self, _room: str) -> set[UserName]:
        return {UserName(name) for name in self.online}

    def notices(self, resume: float = 0.0) -> Notices:
        return Notices(self.notify, self.say_typing, lambda _: self.size, self.there, 100, resume)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.01)


async def test_one_notice_tells_of_all() -> None:
    """Who comes and goes within the interval is not mentioned at all."""
    room = Room()
    notices = room.notices()
    notices.came(DEFAULT_ROOM, ANN)
    notices.came(DEFAULT_ROOM, BOB)
    notices.went(DEFAULT_ROOM, BOB, said_so=True)
    assert await room.told.get() == (["ann"], [])
    notices.went(DEFAULT_ROOM, ANN, said_so=False)
    assert await room.told.get() == ([], ["ann"])


async def test_who_comes_right_back_was_never_away() -> None:
    """A lost connection is announced only when nobody came back in time; one that said so at once."""
    room = Room()
    notices = room.notices(resume=0.05)
    notices.went(DEFAULT_ROOM, ANN, said_so=False)
    notices.came(DEFAULT_ROOM, ANN)
    notices.went(DEFAULT_ROOM, BOB, said_so=False)
    assert await room.told.get() == ([], ["bob"])
    notices.went(DEFAULT_ROOM, ANN, said_so=True)
    assert await room.told.get() == ([], ["ann"])


async def test_who_resumes_at_a_new_process_was_never_away() -> None:
    """A restart took all connections, and nobody was told that they went. Who comes anew is told of, and later all."""
    clock = [100.0]
    room = Room()
    notices = Notices(room.notify, room.say_typing, lambda _: 2, room.there, 100, 30.0, lambda: clock[0])
    notices.came(DEFAULT_ROOM, ANN, resumes=True)
    notices.came(DEFAULT_ROOM, BOB)
    assert await room.told.get() == (["bob"], [])
    clock[0] += 30.0
    notices.came(DEFAULT_ROOM, ANN, resumes=True)
    assert await room.told.get() == (["ann"], [])


async def test_who_came_back_elsewhere_and_left_there_has_left_once() -> None:
    """The other process has announced it; who went from here alone is announced by this one."""
    room = Room()
    notices = room.notices(resume=0.05)
    notices.went(DEFAULT_ROOM, ANN, said_so=False)
    notices.went(DEFAULT_ROOM, BOB, said_so=False)
    notices.heard(DEFAULT_ROOM, [ANN])
    notices.heard(DEFAULT_ROOM, [ANN])
    assert await room.told.get() == ([], ["bob"])
    notices.came(DEFAULT_ROOM, ANN)
    assert await room.told.get() == (["ann"], [])


async def test_it_says_for_how_long_nobody_is_told() -> None:
    """Nobody ever is of a large room, and at once of who said so."""
    room = Room()
    notices = room.notices(resume=30.0)
    assert notices.went(DEFAULT_ROOM, ANN, said_so=False) == 30.0
    assert notices.went(DEFAULT_ROOM, BOB, said_so=True) == 0.0
    room.size = 101
    assert notices.went(DEFAULT_ROOM, BOB, said_so=False) == 0.0
    notices.stop()


async def test_who_is_there_by_way_of_another_process_has_not_left() -> None:
    """Whether they were there all the time or came back elsewhere; the others' leave is told."""
    room = Room()
    notices = room.notices()
    room.online = {"ann"}
    for user in (ANN, BOB):
        notices.went(DEFAULT_ROOM, user, said_so=True)
    assert await room.told.get() == ([], ["bob"])
    notices.went(DEFAULT_ROOM, ANN, said_so=True)
    notices.came(DEFAULT_ROOM, BOB)
    assert await room.told.get() == (["bob"], [])


async def test_who_comes_by_another_process_too_is_not_announced_again() -> None:
    """Nor is that they went from here only; a lost connection that is back counts as never lost."""
    room = Room()
    notices = room.notices(resume=0.05)
    room.online = {"ann"}
    notices.came(DEFAULT_ROOM, ANN, elsewhere=True)
    notices.came(DEFAULT_ROOM, BOB)
    assert await room.told.get() == (["bob"], [])
    notices.went(DEFAULT_ROOM, ANN, said_so=True)
    notices.went(DEFAULT_ROOM, BOB, said_so=True)
    assert await room.told.get() == ([], ["bob"])
    notices.went(DEFAULT_ROOM, ANN, said_so=False)
    notices.came(DEFAULT_ROOM, ANN, elsewhere=True)
    await asyncio.sleep(0.1)
    notices.came(DEFAULT_ROOM, BOB)
    assert await room.told.get() == (["bob"], [])


async def test_large_rooms_are_quiet() -> None:
    """Neither joins nor leaves; an empty flush tells nothing."""
    room = Room()
    notices = room.notices(resume=0.01)
    room.size = 101
    notices.came(DEFAULT_ROOM, ANN)
    notices.went(DEFAULT_ROOM, ANN, said_so=True)
    notices.went(DEFAULT_ROOM, ANN, said_so=False)
    room.size = 100
    notices.came(DEFAULT_ROOM, BOB)
    assert await room.told.get() == (["bob"], [])


async def test_who_is_writing_is_told_once_an_interval() -> None:
    """However often they say so; not in large rooms."""
    room = Room()
    notices = room.notices()
    room.size = 101
    notices.typing(DEFAULT_ROOM, ANN)
    room.size = 100
    for user in (BOB, ANN, BOB):
        notices.typing(DEFAULT_ROOM, user)
    assert await room.typing.get() == ["ann", "bob"]
    notices.typing(DEFAULT_ROOM, BOB)
    assert await room.typing.get() == ["bob"]


async def test_who_has_posted_is_not_writing() -> None:
    """What was said of it before the post is not told after it; who goes on to write is told of again."""
    room = Room()
    notices = room.notices()
    for user in (ANN, BOB):
        notices.typing(DEFAULT_ROOM, user)
    notices.posted(DEFAULT_ROOM, ANN)
    assert await room.typing.get() == ["bob"]
    notices.posted(DEFAULT_ROOM, ANN)
    notices.typing(DEFAULT_ROOM, ANN)
    assert await room.typing.get() == ["ann"]


async def test_who_is_gone_is_not_writing() -> None:
    """Removed or not; nothing is told where nobody else is."""
    room = Room()
    notices = room.notices()
    for user in (ANN, BOB):
        notices.typing(DEFAULT_ROOM, user)
    notices.went(DEFAULT_ROOM, ANN, said_so=True)
    assert await room.typing.get() == ["bob"]
    notices.typing(DEFAULT_ROOM, ANN)
    notices.went(DEFAULT_ROOM, ANN, said_so=True)
    notices.came(DEFAULT_ROOM, BOB)
    await room.told.get()
    await room.told.get()
    assert room.typing.empty()


async def test_a_lost_notice_loses_nothing_else() -> None:
    """The next one is told."""
    room = Room()
    notices = room.notices()
    room.broken = True
    notices.came(DEFAULT_ROOM, ANN)
    await room.failed.wait()
    notices.came(DEFAULT_ROOM, BOB)
    assert await room.told.get() == (["bob"], [])


async def test_stop_tells_nothing_more() -> None:
    """Timers and the running flush are cancelled; stopping twice or early is harmless."""
    room = Room()
    notices = room.notices(resume=0.01)
    notices.stop()
    notices.came(DEFAULT_ROOM, ANN)
    notices.went(DEFAULT_ROOM, BOB, said_so=False)
    notices.stop()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(room.told.get(), 0.1)
