"""A checked run: clients make rooms, talk, remove each other and come to rest; then they are judged."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from client.api import Api
from client.check_fault import Verdict
from client.check_judge import judge
from client.check_participant import Participant
from client.credentials import Credential
from client.errors import Rejected
from client.record import History, Stored, stored

EACH: Final = 3
"""Rooms that a client is in."""
_BETWEEN_CHANGES: Final = 0.6
"""Seconds: below the two changes a second that a user may make."""
_OUT: Final = (0.2, 4.0)
"""Seconds for which somebody stays removed before the invitation back."""
_PAGE: Final = 50
_LOOK: Final = 0.1


class Crowd:
    """The first clients own a room each, private ones first, every other one. `removals` are a second, in all rooms."""

    def __init__(self, participants: Sequence[Participant], rooms: int, rng: random.Random, removals: float) -> None:
        self.participants, self.owners = participants, participants[:rooms]
        self.rooms: dict[str, Participant] = {}
        """Their owners, by the rooms' ids."""
        self.removed = 0
        self._rng = rng
        self._pause = rooms / removals if removals else float("inf")
        self._private: set[str] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Everyone is connected, in their rooms, and listens."""
        async with AsyncExitStack() as after, asyncio.TaskGroup() as group:
            await asyncio.gather(*(after.enter_async_context(one.client) for one in self.participants))
            for one in self.participants:
                group.create_task(one.listen())
            await self._settle()
            yield
            await asyncio.gather(*(one.client.close() for one in self.participants))

    async def talk(self, seconds: float, meanwhile: Awaitable[object] | None = None) -> None:
        """Post and moderate for so long, and until `meanwhile` is over; return once all that was begun is answered."""
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for one in self.participants:
                group.create_task(one.talk(enough))
            for room in self.rooms:
                group.create_task(self._moderate(room, enough))
            await asyncio.gather(asyncio.sleep(seconds), *([meanwhile] if meanwhile else []))
            enough.set()

    async def rest(self, patience: float) -> None:
        """Return once everyone is in all of their rooms and has got everything, at the latest after `patience`."""
        ends = asyncio.get_running_loop().time() + patience
        await _until(lambda: all(one.present for one in self.participants), ends)
        newest = {room: history.events[-1].offset for room, history in (await self.histories()).items()}
        await _until(lambda: all(one.has(newest) for one in self.participants), ends)

    async def histories(self, retained: int = 10_000) -> dict[str, History]:
        """What the store says each room's events are, read by its owner."""
        found = await asyncio.gather(*(read(owner, room, retained) for room, owner in self.rooms.items()))
        return {history.room: history for history in found}

    async def verdict(self) -> Verdict:
        """Call it at rest."""
        return judge([one.record for one in self.participants], await self.histories())

    async def _settle(self) -> None:
        """Make the rooms, and go into them."""
        for number, owner in enumerate(self.owners):
            room = await owner.client.create(f"Checked {number + 1}", public=bool(number % 2))
            self.rooms[room.name] = owner
            owner.rooms.add(room.name)
            self._private |= set() if number % 2 else {room.name}
        for one in self.participants:
            others = [room for room in self.rooms if room not in one.rooms]
            one.rooms |= set(self._rng.sample(others, min(EACH - len(one.rooms), len(others))))
        await asyncio.gather(*(self._invite_all(room) for room in sorted(self._private)))
        await asyncio.gather(*(one.enter(room) for one in self.participants for room in sorted(one.rooms)))

    async def _invite_all(self, room: str) -> None:
        for one in self.participants:
            if room in one.rooms and one is not self.rooms[room]:
                await self.rooms[room].change(room, "invite", one.user)
                await asyncio.sleep(_BETWEEN_CHANGES)

    async def _moderate(self, room: str, enough: asyncio.Event) -> None:
        """Remove somebody now and then, and let them back in."""
        owner = self.rooms[room]
        others = [one for one in self.participants if room in one.rooms and one is not owner]
        while others and not await _waited(enough, self._rng.uniform(0.5, 1.5) * self._pause):
            whom = self._rng.choice(others)
            await owner.change(room, "kick", whom.user)
            self.removed += 1
            await asyncio.sleep(self._rng.uniform(*_OUT))
            if room in self._private:
                await owner.change(room, "invite", whom.user)


async def read(reader: Participant, room: str, retained: int) -> History:
    """A room's whole history over HTTP. Events are missing at its beginning by retention only where at least `retained`
    newer ones are there."""
    events: list[Stored] = []
    more, epoch = True, ""
    while more:
        after = events[-1].offset if events else 0
        page = await _page(reader.api, reader.credential, f"/api/rooms/{room}/events?after={after}&limit={_PAGE}")
        events += [stored(frame) for frame in page["events"]]
        more, epoch = page["more"], page["epoch"]
    return History(room, epoch, events, events[0].offset - 1 if len(events) >= retained else 0)


async def _page(api: Api, credential: Credential, path: str) -> Mapping[str, Any]:
    while True:
        try:
            return (await api.call("GET", path, headers=(await credential.proof(api)).headers))[0]
        except Rejected as refused:
            if refused.status != 429:  # noqa: PLR2004
                raise
            await asyncio.sleep(refused.retry_after or 1.0)


async def _until(holds: Callable[[], bool], ends: float) -> None:
    """Return once it holds, or when it is time; whoever comes too late is judged for it."""
    while not holds() and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110 - it hangs on many things
        await asyncio.sleep(_LOOK)


async def _waited(enough: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until it is enough; whether it is."""
    try:
        await asyncio.wait_for(enough.wait(), seconds)
    except TimeoutError:
        return False
    return True
