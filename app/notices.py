"""Who came, went or is writing: coalesced per second, quiet in large rooms and for those who come right back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from app import request_id
from app.model import RoomId, UserName

_log = logging.getLogger("portcullis.notices")
_EVERY = 1.0

Notify = Callable[[RoomId, Sequence[UserName], Sequence[UserName]], Awaitable[None]]
Typing = Callable[[RoomId, Sequence[UserName]], Awaitable[None]]
Online = Callable[[RoomId], Awaitable[Collection[UserName]]]


class Notices:
    """One that went without saying so is announced only after `resume_seconds`."""

    def __init__(
        self,
        notify: Notify,
        typing: Typing,
        size: Callable[[RoomId], int],
        online: Online,
        max_members: int,
        resume_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notify = notify
        self._say_typing = typing
        self._size = size
        self._online = online
        self._max_members = max_members
        self._resume_seconds = resume_seconds
        self._clock = clock
        self._began = clock()
        self._pending: dict[tuple[RoomId, UserName], bool] = {}
        self._typing: dict[RoomId, set[UserName]] = {}
        self._departing: dict[tuple[RoomId, UserName], asyncio.TimerHandle] = {}
        self._flushing: asyncio.Task[None] | None = None

    def came(self, room: RoomId, user: UserName, *, elsewhere: bool = False, resumes: bool = False) -> None:
        """A user has a first connection of this process in the room; `elsewhere` when another process has one.

        Who `resumes` when this process has only just begun was here before it, and nobody was told that they went.
        """
        departing = self._departing.pop((room, user), None)
        young = self._clock() - self._began < self._resume_seconds
        if departing is not None:
            departing.cancel()
        elif not elsewhere and not (resumes and young):
            self._note(room, user, here=True)

    def went(self, room: RoomId, user: UserName, *, said_so: bool) -> float:
        """A user's last connection left the room; `said_so` when on purpose, so that no one waits for a resume.

        Returns for how many seconds nobody is told.
        """
        self._typing.get(room, set()).discard(user)
        if said_so or self._resume_seconds <= 0:
            self._note(room, user, here=False)
        elif self._size(room) <= self._max_members:
            loop = asyncio.get_running_loop()
            self._departing[room, user] = loop.call_later(self._resume_seconds, self._gone, room, user)
            return self._resume_seconds
        return 0.0

    def heard(self, room: RoomId, left: Sequence[UserName]) -> None:
        """Some process has announced that these left: who came back there, and then left, is not announced twice."""
        for user in left:
            departing = self._departing.pop((room, user), None)
            if departing is not None:
                departing.cancel()

    def typing(self, room: RoomId, user: UserName) -> None:
        """A user is writing."""
        if self._size(room) <= self._max_members:
            self._typing.setdefault(room, set()).add(user)
            self._flush_soon()

    def posted(self, room: RoomId, user: UserName) -> None:
        """What they were writing is there, so that nobody is told of it afterwards."""
        self._typing.get(room, set()).discard(user)

    def stop(self) -> None:
        """Announce nothing any more."""
        for departing in self._departing.values():
            departing.cancel()
        if self._flushing is not None:
            self._flushing.cancel()

    def _gone(self, room: RoomId, user: UserName) -> None:
        self._departing.pop((room, user), None)
        self._note(room, user, here=False)

    def _note(self, room: RoomId, user: UserName, *, here: bool) -> None:
        if self._size(room) > self._max_members:
            return
        if self._pending.get((room, user)) is (not here):
            del self._pending[room, user]
            return
        self._pending[room, user] = here
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush(), context=request_id.apart())

    async def _flush(self) -> None:
        await asyncio.sleep(_EVERY)
        pending, self._pending = self._pending, {}
        typing, self._typing = self._typing, {}
        self._flushing = None
        for room in {room for room, _ in pending}:
            joined = [user for (where, user), here in pending.items() if where == room and here]
            left = [user for (where, user), here in pending.items() if where == room and not here]
            await _attempt(self._tell(room, joined, left))
        for room, users in typing.items():
            if users:
                await _attempt(self._say_typing(room, sorted(users)))

    async def _tell(self, room: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """Whoever went from here may still be there, or be back, by way of another process."""
        online = await self._online(room) if left else ()
        gone = [user for user in left if user not in online]
        if joined or gone:
            await self._notify(room, joined, gone)


async def _attempt(notice: Awaitable[None]) -> None:
    """Ephemeral: whoever misses a notice misses nothing else."""
    try:
        await notice
    except OSError:
        _log.warning("notice_lost", exc_info=True)
