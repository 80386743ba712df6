"""The shared presence when processes or the server fail: caps hold, and what is gone is given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from app.model import Address, ConnectionId, RoomId, UserName
from app.presence import Caps, Entered
from app.presence_redis import RedisPresence
from app.redis_link import RedisLink
from app.redis_pipe import RedisDown
from app.verdict import Reason
from tests.contract.servers import KINDS, Server, linked, running, until_true

ANN, BOB = UserName("ann"), UserName("bob")
HOME = Address("192.0.2.1")
DEN = RoomId("den-1a2b3c")
CAPS = Caps(per_user=5, per_address=20, per_node=40, per_room=3)
PREFIX = "{chat}"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one test, which may do to it what it likes."""
    with running(request.param) as server:
        yield server


@pytest.fixture
async def link(server: Server) -> AsyncIterator[RedisLink]:
    """A link to it that does not wait for long."""
    async with linked(server.within(1.0)) as link:
        yield link


async def process(link: RedisLink, name: str, seconds: float = 30.0, settling: float = 2.0) -> RedisPresence:
    """One process's presence, on the node that all share."""
    presence = RedisPresence(link, PREFIX, CAPS, "node", name, 7, seconds, settling)
    await presence.renew([])
    return presence


def ids(*names: str) -> list[ConnectionId]:
    """Connections."""
    return [ConnectionId(name) for name in names]


async def test_caps_are_exact_over_all_processes(server: Server) -> None:
    """Three processes, each over its own connection, asked for 60 leases of one user and of one room at once."""
    async with linked(server.where) as one, linked(server.where) as two, linked(server.where) as three:
        all_ = [await process(link, name) for link, name in ((one, "one"), (two, "two"), (three, "three"))]
        tries = [(all_[number % 3], ConnectionId(f"{number}")) for number in range(60)]
        answers = await asyncio.gather(*(presence.acquire(name, ANN, HOME) for presence, name in tries))
        assert sorted(answers, key=str) == [None] * 5 + [Reason.USER_CONNECTIONS] * 55
        inside = [pair for pair, answer in zip(tries, answers, strict=True) if answer is None]
        entered = await asyncio.gather(*(presence.enter(DEN, name) for presence, name in inside))
        assert sum(one is not None for one in entered) == CAPS.per_room
        assert set(await all_[0].online(DEN)) == {ANN}


async def test_a_process_hears_who_of_the_user_is_in_the_room_by_way_of_another(server: Server) -> None:
    """Of all that come at once by two processes exactly one is new; what is in another room, or ended, is not there."""
    async with linked(server.where) as one, linked(server.where) as two:
        here, there = await process(one, "one"), await process(two, "two", 1.0)
        for presence, name in ((here, "a"), (there, "b"), (here, "c"), (there, "d")):
            assert await presence.acquire(ConnectionId(name), ANN, HOME) is None
        assert await here.enter(RoomId("hall"), ConnectionId("a")) is Entered.NEW
        both = await asyncio.gather(here.enter(DEN, ConnectionId("a")), there.enter(DEN, ConnectionId("b")))
        assert sorted(both, key=str) == [Entered.ELSEWHERE, Entered.NEW]
        assert await here.enter(DEN, ConnectionId("c")) is Entered.ELSEWHERE
        await here.release(ConnectionId("a"))
        await here.release(ConnectionId("c"))
        assert await there.enter(DEN, ConnectionId("d")) is Entered.NEW, "only its own are left"
        assert await here.acquire(ConnectionId("e"), ANN, HOME) is None
        assert await here.acquire(ConnectionId("f"), BOB, HOME) is None
        assert await here.enter(DEN, ConnectionId("e")) is Entered.ELSEWHERE
        await here.leave(DEN, ConnectionId("e"))
        await there.close()
        assert await here.enter(DEN, ConnectionId("f")) is Entered.NEW
        assert await here.enter(DEN, ConnectionId("e")) is Entered.NEW


async def test_who_is_away_is_not_new_at_another_process(server: Server) -> None:
    """Once, within the time; not who left on purpose meanwhile, nor anybody else, nor in another room."""
    async with linked(server.where) as one, linked(server.where) as two:
        here, there = await process(one, "one"), await process(two, "two")
        for name, user in (("a", ANN), ("b", BOB)):
            assert await there.acquire(ConnectionId(name), user, HOME) is None
        a, b = ids("a", "b")
        await here.away(DEN, ANN, 30.0)
        assert await there.enter(DEN, b) is Entered.NEW
        assert await there.enter(RoomId("hall"), a) is Entered.NEW
        assert await there.enter(DEN, a) is Entered.ELSEWHERE
        await there.leave(DEN, a)
        assert await there.enter(DEN, a) is Entered.NEW
        await here.away(DEN, ANN, 30.0)
        await there.leave(DEN, a)
        assert await there.enter(DEN, a) is Entered.NEW
        await there.leave(DEN, a)
        await here.away(DEN, ANN, 0.05)
        await asyncio.sleep(0.1)
        assert await there.enter(DEN, a) is Entered.NEW


async def test_a_killed_processs_leases_end_by_themselves(link: RedisLink) -> None:
    """Not before their time, and without anybody's doing; those that are renewed stay."""
    dead, alive = await process(link, "dead", 1.0), await process(link, "alive", 1.0)
    for name in ("a", "b", "c"):
        assert await dead.acquire(ConnectionId(name), ANN, HOME) is None
        assert await dead.enter(DEN, ConnectionId(name))
    for name in ("d", "e"):
        assert await alive.acquire(ConnectionId(name), ANN, HOME) is None
    assert await alive.fits(ANN, HOME) is Reason.USER_CONNECTIONS
    assert not await alive.enter(DEN, ConnectionId("d"))
    assert alive.processes == 2
    loop = asyncio.get_running_loop()
    began = loop.time()
    while await alive.fits(ANN, HOME) is Reason.USER_CONNECTIONS:
        await alive.renew(ids("d", "e"))
        await asyncio.sleep(0.02)
    assert 0.7 < loop.time() - began < 6.0
    await until_true(lambda: loop.time() > began + 1.5, "all of the dead one's leases have ended")
    await alive.renew(ids("d", "e"))
    assert await alive.online(DEN) == set()
    assert alive.processes == 1
    taken = [await alive.acquire(ConnectionId(name), ANN, HOME) for name in "fghi"]
    assert taken == [None, None, None, Reason.USER_CONNECTIONS]


async def test_a_handshake_that_never_ended_is_forgotten(link: RedisLink) -> None:
    """A lease whose connection is never among the live ones ends as a dead process's does."""
    presence = await process(link, "one", 0.5)
    assert await presence.acquire(ConnectionId("a"), ANN, HOME) is None
    for _ in range(5):
        await presence.renew([])
        await asyncio.sleep(0.15)
    await presence.renew([])
    with pytest.raises(RedisDown):
        await presence.enter(DEN, ConnectionId("a"))
    answers = [await presence.acquire(ConnectionId(name), ANN, HOME) for name in "bcdef"]
    assert answers == [None] * 5


async def test_without_the_server_nobody_new_gets_in(server: Server, link: RedisLink) -> None:
    """Handshakes are refused, rooms are not entered; who is in leaves, renews and is seen as before."""
    presence = await process(link, "one")
    assert await presence.acquire(ConnectionId("a"), ANN, HOME) is None
    assert await presence.enter(DEN, ConnectionId("a"))
    server.kill()
    with pytest.raises(RedisDown):
        await presence.fits(BOB, HOME)
    with pytest.raises(RedisDown):
        await presence.acquire(ConnectionId("b"), BOB, HOME)
    with pytest.raises(RedisDown):
        await presence.enter(RoomId("other"), ConnectionId("a"))
    await presence.renew(ids("a"))
    assert set(await presence.online(DEN)) == {ANN}
    await presence.leave(DEN, ConnectionId("a"))
    assert set(await presence.online(DEN)) == set()
    await presence.release(ConnectionId("a"))
    await presence.close()
    assert presence.processes == 1


async def test_a_server_restarted_empty_counts_nobody_twice(server: Server) -> None:
    """Until all processes have put their leases back nothing is granted; then the caps are as full as they were."""
    async with linked(server.where) as first, linked(server.where) as second:
        one, two = await process(first, "one", settling=0.5), await process(second, "two", settling=0.5)
        assert [await one.acquire(name, ANN, HOME) for name in ids("a", "b")] == [None] * 2
        assert [await two.acquire(name, ANN, HOME) for name in ids("c", "d")] == [None] * 2
        assert await one.enter(DEN, ConnectionId("a"))
        server.kill()
        await until_true(lambda: not first.up and not second.up, "both have noticed")
        server.start()
        await until_true(lambda: first.up and second.up, "both are there again")
        with pytest.raises(RedisDown, match="put back"):
            await one.fits(ANN, HOME)
        with pytest.raises(RedisDown, match="put back"):
            await one.enter(DEN, ConnectionId("b"))
        await one.renew(ids("a", "b"))
        with pytest.raises(RedisDown, match="put back"):
            await one.fits(ANN, HOME)
        await two.renew(ids("c", "d"))
        await until_true(lambda: server.ask("EXISTS", f"{PREFIX}:settling") == ":0\r\n", "all is settled")
        assert [await two.acquire(name, ANN, HOME) for name in ids("e", "f")] == [None, Reason.USER_CONNECTIONS]
        assert set(await two.online(DEN)) == {ANN}


async def test_leases_that_ended_in_an_outage_are_put_back(server: Server) -> None:
    """It stood still for longer than a lease lasts, and forgot nothing but those."""
    async with linked(server.within(0.2)) as link:
        presence = await process(link, "one", 0.4, 0.0)
        names = ids(*"abcde")
        assert [await presence.acquire(name, ANN, HOME) for name in names] == [None] * 5
        server.pause()
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + 0.6:
            await presence.renew(names)
            await asyncio.sleep(0.02)
        server.resume()
        await until_true(lambda: link.up, "the link is there again")
        await presence.renew(names)
        assert await presence.fits(ANN, HOME) is Reason.USER_CONNECTIONS


async def test_leaving_in_good_order_gives_everything_back_at_once(link: RedisLink) -> None:
    """The place among the processes, too."""
    one, two = await process(link, "one"), await process(link, "two")
    for number in range(20):
        assert await one.acquire(ConnectionId(f"{number}"), UserName(f"user-{number}"), HOME) is None
        assert await one.enter(RoomId(f"room-{number}"), ConnectionId(f"{number}"))
    await one.close()
    await two.renew([])
    assert two.processes == 1
    assert await link.call("KEYS", "*") == [f"{PREFIX}:processes".encode()]


async def test_a_room_entered_while_the_connection_goes_is_left(link: RedisLink) -> None:
    """Whichever Redis hears of first."""
    presence = await process(link, "one")
    for name in ids("a", "b", "c", "d"):
        assert await presence.acquire(name, ANN, HOME) is None
        await asyncio.gather(presence.enter(DEN, name), presence.release(name))
        assert await presence.online(DEN) == set()


async def test_everything_that_it_keeps_ends_by_itself(link: RedisLink) -> None:
    """No key outlives the last renewal by more than a lease."""
    presence = await process(link, "one", 3.0)
    for number in range(40):
        assert (
            await presence.acquire(ConnectionId(f"{number}"), UserName(f"user-{number}"), Address(f"{number}")) is None
        )
        assert await presence.enter(RoomId(f"room-{number}"), ConnectionId(f"{number}"))
    await presence.renew(ids(*(f"{number}" for number in range(40))))
    await presence.away(DEN, ANN, 3.0)
    keys = await link.call("KEYS", "*")
    assert len(keys) == 3 * 40 + 3
    assert all([0 < await link.call("PTTL", key) <= 3000 for key in keys])
