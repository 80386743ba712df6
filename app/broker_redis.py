"""The broker that all processes share: what one publishes, the others receive through Redis.

This process does not wait for Redis: it delivers to itself at once. Whatever may have been lost on the way ends in
`resync`, upon which everything is brought up to date from the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from app.broker import EventsReceived, NoticeReceived, RevocationReceived, TypingReceived
from app.model import Event, Revocation, RoomId, UserName
from app.redis_link import RedisLink
from app.redis_pipe import Pipe, RedisDown
from app.redis_server import Server, connect

_log = logging.getLogger("portcullis.broker")

_PULSE: Final = 1.0
"""Seconds between two messages of this process at least."""
_SILENCE: Final = 3.0
"""Seconds without any message after which the subscription counts as lost."""
_PAUSE: Final = 0.25


Names = tuple[UserName, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What travels, as JSON behind `<sender> <Unix seconds> `. An empty one is a pulse: the way is open."""

    lost: bool = False
    """Something that was sent before may have reached nobody."""
    events: tuple[Event, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    notices: tuple[tuple[RoomId, Names, Names], ...] = ()
    typing: tuple[tuple[RoomId, Names], ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is told how it goes. None of them may raise."""

    resync: Callable[[], object]
    """Messages may have been missed: repair every room, and check every connection's credential again."""
    lag: Callable[[float], object]
    """Seconds from a publication of this process to its own receipt of it: one clock, however many hosts there are."""
    failed: Callable[[str], object]
    """`publish` or `receive`: a message could not be sent, or one came that means nothing."""
    degraded: Callable[[bool], object]
    """Whether this process is cut off from what the others publish."""


_MESSAGE: Final = TypeAdapter(Message)


class RedisBroker:
    """Implements `app.broker.Broker`. Revocations have a channel of their own, and count on no other."""

    _events: EventsReceived
    _revocation: RevocationReceived
    _notice: NoticeReceived
    _typing: TypingReceived

    def __init__(self, link: RedisLink, server: Server, prefix: str, process: str, heard: Heard) -> None:
        """`process`: unique over all, and over restarts."""
        self._link = link
        self._server = server
        self._channel = f"{prefix}:events"
        self._control = f"{prefix}:control"
        self._process = process
        self._heard = heard
        self._lost = False
        self._received = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def subscribe(
        self, events: EventsReceived, revocation: RevocationReceived, notice: NoticeReceived, typing: TypingReceived
    ) -> None:
        """See `Broker.subscribe`."""
        self._events, self._revocation, self._notice, self._typing = events, revocation, notice, typing

    async def open(self) -> None:
        """Receive from now on, Redis permitting; `resync` is called each time that it begins."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._beat())]

    async def close(self) -> None:
        """Receive nothing any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def publish(self, events: Sequence[Event]) -> None:
        """See `Broker.publish`. Never raises for Redis: the others repair from the store."""
        if events:
            self._events(events)
            self._send(self._channel, events=tuple(events))

    async def revoke(self, revocation: Revocation) -> None:
        """See `Broker.revoke`: while Redis is down, `resync` makes the others look it up in the store."""
        self._revocation(revocation)
        self._send(self._control, revocations=(revocation,))

    async def notify(self, room: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """See `Broker.notify`."""
        self._notice(room, joined, left)
        self._send(self._channel, notices=((room, tuple(joined), tuple(left)),))

    async def typing(self, room: RoomId, users: Sequence[UserName]) -> None:
        """See `Broker.typing`."""
        self._typing(room, users)
        self._send(self._channel, typing=((room, tuple(users)),))

    def _send(self, channel: str, **content: Any) -> None:
        """In order with all that was sent before; nobody waits for it."""
        try:
            data = orjson.dumps(Message(self._lost, **content))
            answer = self._link.send("PUBLISH", channel, f"{self._process} {time.time()} ".encode() + data)
        except (RedisDown, orjson.JSONEncodeError):
            self._not_sent()
            return
        self._lost = False
        answer.add_done_callback(self._answered)

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled() and answer.exception() is not None:
            self._not_sent()

    def _not_sent(self) -> None:
        self._lost = True
        self._heard.failed("publish")

    async def _beat(self) -> None:
        """So that losses are told soon, and silence means that the subscription is lost."""
        while True:
            await asyncio.sleep(_PULSE)
            if self._link.up:
                self._send(self._channel)

    async def _listen(self) -> None:
        while True:
            try:
                await self._once()
            except asyncio.CancelledError:
                raise
            except Exception as problem:  # whatever it was, the next attempt may succeed
                _log.warning("subscription_lost", extra={"why": str(problem)})
            self._heard.degraded(True)
            await asyncio.sleep(_PAUSE)

    async def _once(self) -> None:
        """Subscribe, and stay subscribed until the connection ends or has nothing to say."""
        loop = asyncio.get_running_loop()
        subscribed: set[bytes] = set()

        def pushed(words: list[Any]) -> None:
            self._received = loop.time()
            if words[0] == b"message":
                self._receive(words[1].decode(), words[2])
            elif words[0] == b"subscribe":
                subscribed.add(words[1])
                if len(subscribed) == 2:  # noqa: PLR2004
                    self._heard.degraded(False)
                    self._heard.resync()

        pipe = await connect(self._server, pushed)
        try:
            self._received = loop.time()
            pipe.order("SUBSCRIBE", self._channel, self._control)
            await self._watch(pipe)
        finally:
            pipe.end("closed")

    async def _watch(self, pipe: Pipe) -> None:
        loop = asyncio.get_running_loop()
        while not pipe.lost.done():
            left = self._received + _SILENCE - loop.time()
            if left <= 0:
                raise RedisDown("nothing was received")
            await asyncio.wait([pipe.lost], timeout=left)
        raise RedisDown(pipe.lost.result())

    def _receive(self, channel: str, data: bytes) -> None:
        """One message; a bad one, and a receiver that fails, are counted and end nothing."""
        sender, _, rest = data.partition(b" ")
        try:
            at, _, body = rest.partition(b" ")
            if sender == self._process.encode():
                self._heard.lag(max(0.0, time.time() - float(at)))
            else:
                self._deliver(channel, _MESSAGE.validate_json(body))
        except ValueError:  # pydantic's ValidationError is one
            self._heard.failed("receive")
        except Exception:
            _log.error("message_not_delivered", exc_info=True)
            self._heard.failed("receive")
            self._heard.resync()

    def _deliver(self, channel: str, message: Message) -> None:
        if message.lost:
            self._heard.resync()
        if channel == self._control:
            for revocation in message.revocations:
                self._revocation(revocation)
            return
        if message.events:
            self._events(message.events)
        for notice in message.notices:
            self._notice(*notice)
        for typing in message.typing:
            self._typing(*typing)
