"""Coming into a room while something else happens to it: a removal on its way, or the room itself forgotten."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest import mock

from app.backends import Backends
from app.connection import Connection
from app.model import DEFAULT_ROOM, Change, ConnectionId, Post, RoomId, Stored
from app.presence import Entered, Presence
from app.roles import Action
from app.verdict import Denied, ErrorCode
from tests.unit.entering import ANN, BOB, ROOT, SlowWire, chat, join, live, wrote


class Meanwhile:
    """A presence that has somebody else go first whenever it is entered."""

    def __init__(self, presence: Presence, act: Callable[[], Awaitable[object]]) -> None:
        self._presence = presence
        self._act = act

    async def enter(self, room: RoomId, connection: ConnectionId) -> Entered | None:
        await self._act()
        return await self._presence.enter(room, connection)

    async def leave(self, room: RoomId, connection: ConnectionId) -> None:
        await self._presence.leave(room, connection)


@contextlib.asynccontextmanager
async def resuming(
    act: Callable[[Backends, Connection], Awaitable[object]],
) -> AsyncIterator[tuple[Backends, Any, Any]]:
    """Bob resumes where ann is; `act` comes between the question who bob is and its use. Also his wire, and the
    answers to his questions."""
    async with chat() as backends:
        ann, wire = live(backends, SlowWire(), "ann"), SlowWire()
        bob = live(backends, wire)
        state = await backends.store.room(DEFAULT_ROOM)
        assert state is not None
        for one in (ann, bob):
            assert await backends.presence.acquire(one.id, one.identity.user, one.address.limited) is None
        await backends.chat.entrance.enter(ann, join())
        entrance = backends.chat.entrance
        entrance._presence = Meanwhile(backends.presence, lambda: act(backends, ann))  # type: ignore[assignment]
        with mock.patch.object(backends.store, "entry", wraps=backends.store.entry) as asked:
            denied = await entrance.enter(bob, join(0, state.epoch))
        yield backends, wire, (denied, asked.await_count)


async def nothing(_backends: Backends, _ann: Connection) -> None:
    """Nobody comes in between."""


async def test_where_somebody_is_who_comes_back_is_asked_for_once() -> None:
    """The room that is live already would have heard of a removal since."""
    async with resuming(nothing) as (backends, wire, (denied, asked)):
        assert (denied, asked) == (None, 1)
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "hi"))
        assert [frame["type"] for frame in wire.take()] == ["joined", "message"]


async def test_a_removal_behind_the_question_keeps_them_out() -> None:
    """It was delivered before the answer was used."""

    async def ban(backends: Backends, _ann: Connection) -> None:
        await wrote(backends, Change(DEFAULT_ROOM, ROOT, Action.BAN, user=BOB), Post(DEFAULT_ROOM, ANN, "about bob"))

    async with resuming(ban) as (_, wire, (denied, asked)):
        assert (denied.code, asked) == (ErrorCode.BANNED, 2)
        # Which every connection of theirs is told.
        assert [frame["type"] for frame in wire.take()] == ["membership"]


async def test_a_removal_that_is_on_its_way_is_the_last_they_hear() -> None:
    """It was stored before the answer was used, and is delivered behind it."""
    stored: list[Stored | Denied] = []

    async def ban(backends: Backends, _ann: Connection) -> None:
        banned, about = Change(DEFAULT_ROOM, ROOT, Action.BAN, user=BOB), Post(DEFAULT_ROOM, ANN, "about bob")
        stored.extend(await backends.store.append([banned, about]))

    async with resuming(ban) as (backends, wire, (denied, _)):
        assert denied is None
        backends.hub.deliver([one.event for one in stored if isinstance(one, Stored)])
        assert [frame["type"] for frame in wire.take()] == ["joined", "member", "membership"]


async def test_a_room_that_was_forgotten_behind_the_question_is_asked_for_again() -> None:
    """The last one left, and what was posted then was delivered to nobody."""

    async def leave(backends: Backends, ann: Connection) -> None:
        await backends.chat.goodbye(ann, said_so=True)
        await wrote(backends, Post(DEFAULT_ROOM, ANN, "nobody hears"))

    async with resuming(leave) as (_, wire, (denied, asked)):
        assert denied is None and asked > 1
        assert [frame["offset"] for frame in wire.take() if frame["type"] == "message"] == [1]


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
