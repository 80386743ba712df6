"""Presence, the same in one process, on Redis and on Valkey: caps to the unit, whoever asks at the same time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from app.model import Address, ConnectionId, RoomId, UserName
from app.presence import Caps, Entered, Presence
from app.presence_memory import MemoryPresence
from app.presence_redis import RedisPresence
from app.verdict import Reason
from tests.contract.servers import KINDS, Server, linked, running

ANN, BOB, CAT = UserName("ann"), UserName("bob"), UserName("cat")
HOME, WORK, AWAY = Address("192.0.2.1"), Address("2001:db8:0:1::/64"), Address("192.0.2.3")
DEN, HALL = RoomId("den-1a2b3c"), RoomId("hall-1a2b3c")
CAPS = Caps(per_user=2, per_address=3, per_node=4, per_room=2)
FRESH = itertools.count()


@pytest.fixture(scope="module", params=["memory", *KINDS])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    """A server that runs for all tests here, or none for the presence of one process."""
    if request.param == "memory":
        yield None
        return
    with running(request.param) as server:
        yield server


@pytest.fixture
async def presence(server: Server | None) -> AsyncIterator[Presence]:
    """Nobody is there yet."""
    if server is None:
        yield MemoryPresence(CAPS)
        return
    async with linked(server.where) as link:
        presence = RedisPresence(link, f"{{t{next(FRESH)}}}", CAPS, "node", "process")
        await presence.renew([])
        yield presence


async def take(presence: Presence, name: str, user: UserName = ANN, address: Address = HOME) -> Reason | None:
    """One more connection, of that id."""
    return await presence.acquire(ConnectionId(name), user, address)


async def test_a_user_has_so_many_connections_and_no_more(presence: Presence) -> None:
    """One that is given back is there for the next; giving it back again changes nothing."""
    assert [await take(presence, name) for name in "ab"] == [None, None]
    assert await take(presence, "c") is Reason.USER_CONNECTIONS
    for _ in range(2):
        await presence.release(ConnectionId("a"))
    assert [await take(presence, name) for name in "cd"] == [None, Reason.USER_CONNECTIONS]
    await presence.release(ConnectionId("unknown"))


async def test_each_cap_has_its_reason_and_a_refusal_takes_nothing(presence: Presence) -> None:
    """The user's is named before the address's, that before the node's."""
    assert [await take(presence, *who) for who in (("a", ANN), ("b", ANN), ("c", BOB))] == [None] * 3
    assert await take(presence, "d", ANN) is Reason.USER_CONNECTIONS
    assert await take(presence, "d", CAT) is Reason.IP_CONNECTIONS
    assert await take(presence, "d", CAT, WORK) is None
    assert await take(presence, "e", CAT, WORK) is Reason.NODE_FULL
    await presence.release(ConnectionId("a"))
    assert await take(presence, "e", CAT, WORK) is None


async def test_fitting_says_what_acquiring_would_and_takes_nothing(presence: Presence) -> None:
    """As often as one likes."""
    assert [await presence.fits(ANN, HOME) for _ in range(9)] == [None] * 9
    assert [await take(presence, name) for name in "ab"] == [None, None]
    assert await presence.fits(ANN, WORK) is await take(presence, "c", ANN, WORK) is Reason.USER_CONNECTIONS
    assert await presence.fits(BOB, HOME) is None


async def test_caps_hold_under_any_interleaving(presence: Presence) -> None:
    """A hundred at once, some of them given back: never more than fit, and as many as fit."""
    dice = random.Random(4)  # noqa: S311
    held: set[str] = set()

    async def come_and_go(name: str) -> None:
        if await take(presence, name) is not None:
            return
        held.add(name)
        assert len(held) <= CAPS.per_user
        if dice.random() < 0.8:
            # Another may have the place as soon as Redis has carried out the release, before we hear of it.
            held.discard(name)
            await presence.release(ConnectionId(name))

    await asyncio.gather(*(come_and_go(str(number)) for number in range(100)))
    while len(held) < CAPS.per_user:
        await come_and_go(f"more-{next(FRESH)}")
    assert await take(presence, "last") is Reason.USER_CONNECTIONS


async def test_a_room_is_full_for_who_is_not_in_it(presence: Presence) -> None:
    """Entering again is no second place; leaving makes one free."""
    for name, user, address in (("a", ANN, HOME), ("b", ANN, HOME), ("c", BOB, WORK)):
        assert await take(presence, name, user, address) is None
    a, b, c = (ConnectionId(name) for name in "abc")
    assert [await presence.enter(DEN, one) for one in (a, a, b, c)] == [Entered.NEW] * 3 + [None]
    assert await presence.enter(DEN, a)
    assert await presence.enter(HALL, c)
    await presence.leave(DEN, b)
    await presence.leave(DEN, b)
    assert await presence.enter(DEN, c)


async def test_online_are_the_users_who_are_live_in_a_room(presence: Presence) -> None:
    """Each once, however many connections they have there; releasing a connection leaves all its rooms."""
    for name, user in (("a", ANN), ("b", ANN), ("c", BOB)):
        assert await take(presence, name, user) is None
    a, b, c = (ConnectionId(name) for name in "abc")
    assert set(await presence.online(DEN)) == set()
    assert await presence.enter(DEN, a)
    assert await presence.enter(DEN, b)
    assert await presence.enter(HALL, c)
    assert (set(await presence.online(DEN)), set(await presence.online(HALL))) == ({ANN}, {BOB})
    await presence.renew([a, b, c])
    await presence.release(a)
    assert set(await presence.online(DEN)) == {ANN}
    await presence.release(b)
    assert set(await presence.online(DEN)) == set()
    assert await presence.enter(DEN, c)
    assert set(await presence.online(DEN)) == {BOB}
