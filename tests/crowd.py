"""Clients that post under load, reconnect after every fault and send again what was not acked; what must hold then."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from app.model import DEFAULT_ROOM, Event
from app.store import Store
from tests.patience import PATIENCE
from tests.socket.server import Client, Refused

_PAUSE = 0.4
"""Seconds between two posts of one client, on average."""
_AGAIN = 0.1
"""Seconds until a client tries to connect again."""

Connect = Callable[[], Awaitable[Client | Refused]]


@dataclass
class Poster:
    """One client. Every message is its own id, so that the store's events tell which posts they are."""

    name: str
    connect: Connect
    acked: dict[str, int] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    closes: Counter[int | None] = field(default_factory=Counter)
    hints: list[float] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds from a post to its ack, at most, faults aside: counted on connections that went on."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _waiting: str | None = None
    _number: int = 0
    _newest: int = 0

    async def run(self, enough: asyncio.Event) -> None:
        """Post until `enough`, and until the last post is acked."""
        while not (enough.is_set() and self._waiting is None):
            client = await self._connected()
            if client is None:
                await asyncio.sleep(_AGAIN * (1 + random.random()))  # noqa: S311
                continue
            try:
                await self._talk(client, enough)
            except ConnectionClosed:
                await self._read_on(client)
                self.closes[client.socket.close_code] += 1

    async def _read_on(self, client: Client) -> None:
        """What came before the close, and was not read when a post could no longer be sent."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._note(json.loads(await client.socket.recv()))

    async def has_acked(self, posts: int) -> None:
        """Return once so many of its posts are acked."""
        async with asyncio.timeout(PATIENCE * 3), self._news:
            await self._news.wait_for(lambda: len(self.acked) >= posts)

    async def _connected(self) -> Client | None:
        try:
            answer = await self.connect()
        except (OSError, InvalidMessage, InvalidHandshake, TimeoutError):
            self.refusals["unreachable"] += 1
            return None
        if isinstance(answer, Refused):
            self.refusals[answer.reason] += 1
            return None
        return answer

    async def _talk(self, client: Client, enough: asyncio.Event) -> None:
        joined = await client.join()
        self._newest = joined["offset"]
        while True:
            if self._waiting is None:
                if enough.is_set():
                    await client.socket.close()
                    return
                self._number += 1
                self._waiting = f"{self.name}-{self._number}"
            await client.send(type="post", room=DEFAULT_ROOM, message=self._waiting, id=self._waiting)
            await self._answered(client)
            await self._listen(client, _PAUSE * 2 * random.random())  # noqa: S311

    async def _answered(self, client: Client) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            frame = await client.receive()
            self._note(frame)
            if frame.get("id") == self._waiting:
                break
        if frame["type"] == "ack":
            self.slowest = max(self.slowest, clock() - began)
            assert self._waiting is not None
            self.acked[self._waiting] = frame["offset"]
            self._waiting = None
            async with self._news:
                self._news.notify_all()
        else:
            self.refusals[frame["code"]] += 1
            await self._listen(client, frame.get("retry_after", _AGAIN))

    async def _listen(self, client: Client, seconds: float) -> None:
        """Read whatever comes for so long."""
        clock = asyncio.get_running_loop().time
        ends = clock() + seconds
        with contextlib.suppress(TimeoutError):
            # Not asyncio.timeout around it: Python 3.11's wait_for can swallow the one cancellation of that.
            while (left := ends - clock()) > 0:
                self._note(json.loads(await asyncio.wait_for(client.socket.recv(), left)))

    def _note(self, frame: dict[str, Any]) -> None:
        if frame.get("type") == "message":
            assert frame["offset"] == self._newest + 1, (
                "on one connection offsets come in order, without gaps or repeats"
            )
            self._newest = frame["offset"]
        elif frame.get("type") == "going_away":
            self.hints.append(frame["retry_after"])


@contextlib.asynccontextmanager
async def posting(posters: Iterable[Poster]) -> AsyncIterator[None]:
    """Let them post; at the end wait until every one of their posts is acked. Fails as soon as one of them does."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(poster.run(enough)) for poster in posters]
        yield
        enough.set()
        _, late = await asyncio.wait(tasks, timeout=PATIENCE * 2)
        assert not late, f"{len(late)} clients still wait for their last ack"


async def progress(posters: list[Poster], each: int = 1) -> None:
    """Return once every one of them has had `each` more posts acked."""
    wanted = [len(poster.acked) + each for poster in posters]
    for poster, least in zip(posters, wanted, strict=True):
        await poster.has_acked(least)


async def stored_events(database: str) -> list[Event]:
    """Everything that is in the default room's history, oldest first."""
    store, found = Store(database, 5.0), list[Event]()
    await store.open()
    try:
        while page := await store.events(DEFAULT_ROOM, len(found), 1000):
            found += page
    finally:
        await store.close()
    return found


async def assert_acks_equal_store(posters: Iterable[Poster], database: str) -> list[Event]:
    """Every ack is stored, at the offset that it named, once; nothing else is; and no offset is missing."""
    events = await stored_events(database)
    assert [event.offset for event in events] == list(range(1, len(events) + 1))
    assert {event.message: (event.sender, event.offset) for event in events} == {
        text: (poster.name, offset) for poster in posters for text, offset in poster.acked.items()
    }
    assert len({event.message for event in events}) == len(events)
    return events


def having_open(file: Path) -> set[int]:
    """The processes beside this one that have the file open."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(str(number.readlink()) == str(file) for number in (process / "fd").iterdir()):
                found.add(int(process.name))
    return found - {os.getpid()}


async def never_two(database: Path, enough: asyncio.Event) -> int:
    """Look again and again who has the store open: never two processes. How often it looked."""
    looked = 0
    while not enough.is_set():
        holders = await asyncio.to_thread(having_open, database)
        assert len(holders) <= 1, holders
        looked += 1
        await asyncio.sleep(0.1)
    return looked
