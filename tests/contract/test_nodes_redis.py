"""The hosts that share a server: who lives, who is drained, and that one is always left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from app.model import Address, ConnectionId, UserName
from app.nodes import LastNode, Node
from app.nodes_redis import RedisNodes
from app.presence import Caps
from app.presence_redis import RedisPresence
from app.redis_link import RedisLink
from app.store import StoreDown
from tests.contract.servers import KINDS, Server, linked, running, until_true

PREFIX = "{chat}"
CAPS = Caps(9, 9, 9, 9)


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one test, which may do to it what it likes."""
    with running(request.param) as server:
        yield server


@pytest.fixture
async def link(server: Server) -> AsyncIterator[RedisLink]:
    async with linked(server.where) as link:
        yield link


async def lives(link: RedisLink, node: str, process: str) -> RedisPresence:
    """A process of that node, which has given one heartbeat."""
    presence = RedisPresence(link, PREFIX, CAPS, node, f"{node}-{process}")
    await presence.renew([])
    return presence


async def test_nodes_are_those_whose_processes_live(link: RedisLink) -> None:
    """With their processes and connections; a name may have dashes of its own."""
    nodes = RedisNodes(link, PREFIX, "app-1")
    assert await nodes.nodes() == []
    one = await lives(link, "app-1", "7-aa")
    await lives(link, "app-1", "8-bb")
    other = await lives(link, "app-2", "7-cc")
    assert await one.acquire(ConnectionId("1"), UserName("ann"), Address("192.0.2.1")) is None
    assert await nodes.nodes() == [Node("app-1", 2, 1, drained=False), Node("app-2", 1, 0, drained=False)]
    await other.close()
    assert [one.name for one in await nodes.nodes()] == ["app-1"]


async def test_a_drained_node_hears_it_and_can_be_resumed(link: RedisLink) -> None:
    """All of its processes, and no other's."""
    here, there = RedisNodes(link, PREFIX, "here"), RedisNodes(link, PREFIX, "there")
    for node in ("here", "there"):
        await lives(link, node, "1-aa")
    assert not await here.drain("nowhere")
    assert not await here.resume("there")
    assert await here.drain("there")
    twin = RedisNodes(link, PREFIX, "there")
    assert [await one.drained() for one in (here, there, twin)] == [False, True, True]
    assert [one.drained for one in await here.nodes()] == [False, True]
    assert await here.drain("there")
    assert await here.resume("there")
    assert [await one.drained() for one in (there, twin)] == [False, False]
    assert not await here.resume("there")


async def test_one_node_is_always_left(link: RedisLink) -> None:
    """However many ask at once."""
    names = ["a", "b", "c"]
    for name in names:
        await lives(link, name, "1-aa")
    asked = [RedisNodes(link, PREFIX, name).drain(name) for name in names]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(map(str, map(type, answers))) == sorted(map(str, (bool, bool, LastNode)))
    assert [one.drained for one in await RedisNodes(link, PREFIX, "a").nodes()].count(False) == 1


async def test_a_server_that_forgot_is_told(server: Server, link: RedisLink) -> None:
    """A drained node stays so over an outage, and says so; nobody can drain or resume another one meanwhile."""
    nodes = RedisNodes(link, PREFIX, "here")
    for node in ("here", "there"):
        await lives(link, node, "1-aa")
    assert await nodes.drain("here")
    assert await nodes.drained()
    server.kill()
    assert await nodes.drained()
    for ask in (nodes.nodes(), nodes.drain("there"), nodes.resume("here")):
        with pytest.raises(StoreDown):
            await ask
    server.start()
    await until_true(lambda: link.up, "the link is there again")
    assert await nodes.drained()
    assert server.ask("GET", f"{PREFIX}:drained:here").endswith("1\r\n")


async def test_what_was_said_ends_by_itself(link: RedisLink) -> None:
    """Half a minute after the node has last asked."""
    nodes = RedisNodes(link, PREFIX, "here")
    for node in ("here", "there"):
        await lives(link, node, "1-aa")
    key = f"{PREFIX}:drained:here"
    assert await nodes.drain("here")
    assert 25_000 < await link.call("PTTL", key) <= 30_000
    await link.call("PEXPIRE", key, 5_000)
    assert await nodes.drained()
    assert await link.call("PTTL", key) > 25_000
    assert await nodes.resume("here")
    assert 25_000 < await link.call("PTTL", key) <= 30_000
