"""One client that takes part in a checked run: it posts, moderates, comes back wherever it may, and records."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from client.api import Api
from client.client import Client
from client.credentials import Credential
from client.errors import Refused, Unconfirmed
from client.frames import Event, Fields, Membership, Removed
from client.link import Link
from client.notices import Connected, Disconnected, Notice
from client.record import Delivered, Ended, Joined, Post, Record, delivered, digest

_EVENTS: Final = frozenset({"message", "edited", "deleted", "member", "room"})
_KINDS: Final = {"MemberChanged": "member", "RoomChanged": "room"}
_AGAIN: Final = 1.0
"""Seconds until somebody who was removed tries to come back, if no invitation is heard of before."""
_PASSING: Final = frozenset({"rate_limited", "busy"})
_WORDS: Final = ("lorem", "ipsum", "Grüße", "ничего", "漢字", "👋🏽", "<b>", "\\n", '"quoted"', "x" * 60)


class Watched(Client):
    """The library's client, with a look at what comes over its connections before it is passed on."""

    def __init__(self, *args: Any, saw: Callable[[Fields], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._saw = saw

    async def _receive(self, link: Link, frame: Fields) -> None:
        self._saw(frame)
        await super()._receive(link, frame)

    @property
    def live(self) -> frozenset[str]:
        """The rooms that this connection is in."""
        return frozenset(self._rooms.live)


class Participant:
    """`rooms` are those to be in, as far as it is let in. `rate` is posts a second, over all rooms."""

    def __init__(
        self, user: str, url: str, credential: Credential, rate: float, rng: random.Random, **options: Any
    ) -> None:
        self.user, self.credential = user, credential
        self.api = Api(url, tls=options.get("tls"))
        self.record = Record(user)
        self.client = Watched(url, credential, name=user, saw=self._saw, notify=self._notify, **options)
        self.rooms: set[str] = set()
        self.disconnected = 0
        self._rate, self._rng = rate, rng
        self._life, self._alive = 0, False
        self._serial = 0
        self._invited = asyncio.Event()

    @property
    def present(self) -> bool:
        """Whether it is live in all of its rooms."""
        return self.client.live >= self.rooms

    def has(self, newest: Mapping[str, int]) -> bool:
        """Whether it got everything up to there in all of its rooms."""
        return self.present and all(self.client.joined[room].offset >= newest[room] for room in self.rooms)

    async def listen(self) -> None:
        """Read until the client is closed, and go back to rooms after a removal."""
        async with asyncio.TaskGroup() as group:
            async for item in self.client:
                if isinstance(item, Event):
                    self.record.handed.append(_handed(item, self._life))
                elif isinstance(item, Membership):
                    self._invited.set()
                elif isinstance(item, Removed) and item.room in self.rooms:
                    group.create_task(self.enter(item.room))

    async def enter(self, room: str) -> None:
        """Join, as soon as that is allowed."""
        self.rooms.add(room)
        while True:
            with contextlib.suppress(Refused, Unconfirmed):
                await self.client.join(room)
                return
            self._invited.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._invited.wait(), _AGAIN)

    async def talk(self, enough: asyncio.Event) -> None:
        """Post now here, now there, until `enough`, and until the last post is answered."""
        order = sorted(self.rooms)
        while not enough.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), self._rng.uniform(0.5, 1.5) / self._rate)
                return
            await self.post(self._rng.choice(order))

    async def post(self, room: str) -> None:
        """Say something that nobody says twice."""
        self._serial += 1
        words = self._rng.choices(_WORDS, k=self._rng.randint(0, 5))
        text = " ".join((f"{self.user} {self._serial}", *words))
        post = self._posted(f"{self.user}-{self._serial}", room, type="message", message=text)
        await self._until_answered(post, lambda: self.client.room(room).post(text, id=post.id))

    async def change(self, room: str, verb: str, user: str) -> None:
        """`invite` or `kick` somebody; tried again when that was refused for now only."""
        change = {"invite": "invited", "kick": "kicked"}[verb]
        passing = True
        while passing:
            self._serial += 1
            post = self._posted(f"{self.user}-{self._serial}", room, type="member", change=change, user=user)
            await self._until_answered(post, lambda: getattr(self.client.room(room), verb)(user))
            passing = post.refusal in _PASSING

    def _posted(self, id: str, room: str, **frame: str) -> Post:  # noqa: A002
        post = Post(id, room, digest(frame), time.time())
        self.record.posts.append(post)
        return post

    async def _until_answered(self, post: Post, act: Callable[[], Any]) -> None:
        while post.offset is None and post.refusal is None:
            try:
                post.offset = await act()
            except Refused as refused:
                post.refusal = refused.code
            except Unconfirmed:
                continue

    def _saw(self, frame: Fields) -> None:
        kind, now = frame.get("type"), time.time()
        if kind in _EVENTS:
            self.record.saw.append(delivered(frame, self._life, now))
        elif kind == "joined":
            self.record.saw.append(self._joined(frame, now))
        elif kind == "error" and frame.get("code") == "removed" and "id" not in frame:
            self.record.saw.append(Ended(now, self._life, frame["room"], "removed"))

    def _joined(self, frame: Fields, now: float) -> Joined:
        """Read before the library goes there: where it stands now is what it asked for."""
        room = self.client.joined.get(frame["room"])
        after = None if room is None or room.epoch is None else room.offset
        return Joined(
            now,
            self._life,
            frame["room"],
            after,
            frame["offset"],
            frame["newest"],
            frame["epoch"],
            frame["recovered"],
        )

    def _notify(self, notice: Notice) -> None:
        if isinstance(notice, Connected):
            self._life, self._alive = self._life + 1, True
        elif isinstance(notice, Disconnected) and self._alive:
            self._alive = False
            self.disconnected += 1
            self.record.saw.append(Ended(time.time(), self._life, why=notice.reason))


def _handed(event: Event, life: int) -> Delivered:
    """What the caller got, as the frame that it came in. Fields with their default were not in it."""
    frame: dict[str, Any] = {"type": _KINDS.get(type(event).__name__, type(event).__name__.lower())}
    for one in fields(event):
        value = getattr(event, one.name)
        if value != one.default:
            frame[one.name] = value
    return delivered(frame, life, time.time())
