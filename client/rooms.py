"""The rooms that a client wants to be in: joined, resumed and left, and which of their events are passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeGuard

from client.calls import ANSWER_SECONDS, Call, Calls, passing, refusal
from client.errors import Garbled, Unconfirmed
from client.frames import Event, Fields, MemberChanged, Removed
from client.inbox import Inbox
from client.link import Link
from client.resume import Position, Step
from client.room import Ask, Room

_ENDINGS: Final = frozenset({"left", "declined", "kicked", "banned"})


class Rooms:
    """`wanted` are the rooms to be in on every connection, `live` those that are joined on the present one."""

    def __init__(
        self, calls: Calls, inbox: Inbox, ask: Ask, new_id: Callable[[], str], user: Callable[[], str | None]
    ) -> None:
        self.wanted: dict[str, Room] = {}
        self.live: set[str] = set()
        self._calls = calls
        self._inbox = inbox
        self._ask = ask
        self._new_id = new_id
        self._user = user
        self._entering: dict[str, asyncio.Future[None]] = {}
        self._leaving: dict[str, int] = {}
        """By room the offset of the own `left`, once the server has acknowledged it."""

    def room(self, name: str) -> Room:
        """The room, wanted or not."""
        return self.wanted.get(name) or Room(name, self._ask)

    async def join(self, name: str, position: Position, patience: float) -> Room:
        """Want the room, and return once it is live. Raises Refused or Unconfirmed, and wants it no more then."""
        if self._calls.ended is not None:
            raise self._calls.ended
        room = self.wanted.get(name)
        if room is None:
            room = self.wanted[name] = Room(name, self._ask, position)
            self._entering[name] = asyncio.get_running_loop().create_future()
            if self._calls.link is not None:
                self._spawn(self._calls.link, room)
        entered = self._entering.get(name)
        if entered is not None:
            await self._wait(name, entered, patience + ANSWER_SECONDS)
        return room

    def resume(self, link: Link) -> None:
        """Join everything that is wanted on a new connection."""
        for room in self.wanted.values():
            self._spawn(link, room)

    def lost(self) -> None:
        """The connection is over. What was being left is left."""
        self.live.clear()
        for name in list(self._leaving):
            self.forget(name)

    def end(self, error: BaseException) -> None:
        """Nothing will be joined any more."""
        for entered in self._entering.values():
            _fail(entered, error)

    def joined(self, frame: Fields) -> None:
        """The server has let the client in."""
        room = self.wanted.get(str(frame.get("room")))
        if room is None or room.name in self.live:
            return  # not wanted any more, or the answer to a join that was sent twice
        reset = room.position.joined(room.name, frame)
        room.entered(frame)
        if reset is not None:
            self._inbox.put(reset)
        self.live.add(room.name)
        entered = self._entering.pop(room.name, None)
        if entered is not None and not entered.done():
            entered.set_result(None)
        self._calls.pulse.beat()

    async def event(self, event: Event) -> None:
        """Pass an event on if it is the next one of its room; raises Garbled when one is missing."""
        if event.room not in self.live:
            return
        room = self.wanted[event.room]
        step = room.position.step(event.offset)
        if step is Step.GAP:
            raise Garbled(f"offset {event.offset} of {room.name} after {room.offset}")
        if step is Step.NEXT:
            await self._inbox.space()
            if self.wanted.get(event.room) is room:
                self._pass(room, event)

    def removed(self, name: str, reason: str) -> None:
        """The server sends nothing of the room any more."""
        if name in self.wanted:
            self.forget(name)
            self._inbox.put(Removed(room=name, reason=reason))

    def left(self, name: str, offset: int | None) -> None:
        """The server has taken a leave; its event, if it has one, may still be on its way."""
        room = self.wanted.get(name)
        if room is None:
            return
        if offset is None or offset <= room.offset or name not in self.live:
            self.forget(name)
        else:
            self._leaving[name] = offset

    def forget(self, name: str) -> None:
        """Want the room no more."""
        self.wanted.pop(name, None)
        self.live.discard(name)
        self._entering.pop(name, None)
        self._leaving.pop(name, None)
        self._calls.pulse.beat()

    def _pass(self, room: Room, event: Event) -> None:
        """Without an await: handed on and noted, or neither."""
        self._inbox.put(event)
        room.passed(event, self._user())
        leaving = self._leaving.get(room.name)
        if leaving is not None:
            if leaving <= event.offset:
                self.forget(room.name)
        elif event.offset > room.replayed and _ends(event, self._user()):
            # In a replay it is history: the user has come back since, or would not have been let in.
            self.removed(room.name, event.change)

    def _spawn(self, link: Link, room: Room) -> None:
        link.spawn(asyncio.create_task(self._enter(room)))

    async def _enter(self, room: Room) -> None:
        """Join until it is in, or refused for good; ends with the connection, the next one starts over."""
        asked = {"type": "join", "room": room.name, **room.position.asked()}
        while self.wanted.get(room.name) is room:
            call = self._calls.call(asked, self._new_id(), lambda: True)
            answer = await self._calls.exchange(call)
            if answer.get("type") != "error":
                break
            wait = passing(answer)
            if wait is None:
                self._refused(room, answer, call)
            else:
                await self._calls.wait_out(call, answer, wait)

    def _refused(self, room: Room, answer: Fields, call: Call) -> None:
        entered = self._entering.get(room.name)
        if entered is None:
            self.removed(room.name, str(answer.get("code")))
        else:
            self.forget(room.name)
            _fail(entered, refusal(answer, call))

    async def _wait(self, name: str, entered: asyncio.Future[None], seconds: float) -> None:
        with self._inbox.urgent():
            await asyncio.wait([entered], timeout=seconds)
        if not entered.done():
            self.forget(name)
            raise Unconfirmed(f"join {name}")
        entered.result()


def _ends(event: Event, user: str | None) -> TypeGuard[MemberChanged]:
    return isinstance(event, MemberChanged) and event.user == user and event.change in _ENDINGS


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    """Set an exception that may stay unread: whoever waited may have been cancelled."""
    if not future.done():
        future.set_exception(error)
        future.exception()
