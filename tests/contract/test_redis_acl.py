"""The chat's user on the server: what docs/redis.md gives it is enough for everything, and none of it is too much."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.broker_redis import RedisBroker
from app.limiter import Charge, Limit, Rate
from app.limiter_redis import RedisLimiter
from app.model import Address, ConnectionId, RoomId, UserName
from app.nodes import LastNode
from app.nodes_redis import RedisNodes
from app.presence import Caps
from app.presence_redis import RedisPresence
from app.redis_link import COMMANDS, RedisLink, Script, acl
from app.redis_pipe import RedisDown
from app.redis_server import Server as Where
from tests.contract.ears import Ears
from tests.contract.servers import KINDS, Server, linked, running, until_true
from tests.patience import PATIENCE

ANN, HOME, DEN = UserName("ann"), Address("192.0.2.1"), RoomId("den-1a2b3c")
PREFIX = "{portcullis}"
PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
PASSWORD = "not-a-secret"


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that knows the chat's user as the page describes it."""
    line = re.search(r"^user portcullis (.+)$", PAGE, re.MULTILINE)
    assert line is not None
    rules = line[1].split()
    assert rules[0].startswith("#")
    with running(request.param) as server:
        assert server.ask("ACL", "SETUSER", "chat", f">{PASSWORD}", *rules[1:]) == "+OK\r\n"
        yield server


@pytest.fixture
def chat(server: Server, tmp_path: Path) -> Where:
    """The server as the chat's user sees it."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return Where(f"unix://{server.socket}", "chat", file, seconds=PATIENCE)


async def everything(link: RedisLink, where: Where) -> None:
    """All that the chat ever does."""
    limiter = RedisLimiter(link, PREFIX, Rate(1.0, 1.0), 30.0, 60.0, lambda: 1, bool)
    charge = Charge(Limit.POSTS_PER_USER, "ann", Rate(0.01, 1.0))
    assert [await limiter.hit([charge]) is None for _ in range(2)] == [True, False]
    assert await limiter.test([charge])
    assert [await limiter.strike("ann") for _ in range(2)] == [0.0, 30.0]
    assert await limiter.cooldown("ann") > 0.0
    await limiter._carry([(("posts_per_user", "ann"), 1.0)])
    assert [user for user, _ in await limiter.cooldowns()] == ["ann"]
    assert await limiter.lift("ann")
    presence = RedisPresence(link, PREFIX, Caps(9, 9, 9, 9), "node", "node-1-a", settling=0.0)
    await presence.renew([])
    nodes = RedisNodes(link, PREFIX, "node")
    with pytest.raises(LastNode):
        await nodes.drain("node")
    assert not await nodes.resume("node")
    assert not await nodes.drained()
    assert [one.name for one in await nodes.nodes()] == ["node"]
    one = ConnectionId("1")
    assert await presence.acquire(one, ANN, HOME) is None
    assert await presence.enter(DEN, one)
    assert await presence.online(DEN) == {ANN}
    await link.call("ZREM", f"{PREFIX}:processes", "node-1-a")
    await presence.renew([one])
    await presence.leave(DEN, one)
    await presence.away(DEN, ANN, 1.0)
    await presence.close()
    here, there = Ears(), Ears()
    brokers = [
        ears.on(RedisBroker(link, where, PREFIX, name, ears.heard())) for ears, name in ((here, "a"), (there, "b"))
    ]
    await asyncio.gather(*(broker.open() for broker in brokers))
    await until_true(lambda: here.resyncs and there.resyncs, "subscribed")
    await brokers[0].typing(DEN, [ANN])
    await until_true(lambda: there.calls, "it has arrived")
    await asyncio.gather(*(broker.close() for broker in brokers))


async def test_the_chats_user_may_do_all_that_the_chat_does(server: Server, chat: Where) -> None:
    """And every command that it may use is used; PEXPIRE and the like by the scripts."""
    server.ask("CONFIG", "RESETSTAT")
    async with linked(chat) as link:
        await everything(link, chat)
        assert link.up
    used = set(re.findall(r"cmdstat_(\S+?):", server.ask("INFO", "commandstats")))
    allowed = {word.removeprefix("+") for word in COMMANDS.split()}
    assert used >= allowed
    assert used - allowed <= {"hello", "auth", "config|resetstat", "info"}


FORBIDDEN = (
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "KEYS *",
    "SCAN 0",
    "ACL LIST",
    "LATENCY RESET",
    "SHUTDOWN NOSAVE",
    "SAVE",
    "REPLICAOF NO ONE",
    "MONITOR",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "SCRIPT FLUSH",
    "FUNCTION LIST",
    "EVAL return 0",
    "MODULE LIST",
    "INFO",
    "SELECT 1",
    "PUBSUB CHANNELS",
    "PSUBSCRIBE *",
    "SUBSCRIBE other",
    "PUBLISH other x",
    "PUBLISH {portcullis} x",
    "GET other",
    "SET other:key x",
    "SET portcullis:key x",
    "ZREM {portcullis}",
    "DEL {portcullis}2:key",
    "RESTORE {portcullis}:key 0 x",
    "DUMP {portcullis}:key",
)


@pytest.mark.parametrize("words", FORBIDDEN)
async def test_the_chats_user_may_do_nothing_else(chat: Where, words: str) -> None:
    """Neither to the server, nor to what belongs to others, nor look around in what is its own."""
    async with linked(chat) as link:
        with pytest.raises(RedisDown, match="NOPERM"):
            await link.call(*words.replace("ZREM {portcullis}", "ZREM {portcullis} x").split())


async def test_scripts_have_no_more_rights_than_their_caller(chat: Where) -> None:
    """What Redis runs for the chat is bound to the chat's keys and commands."""
    for text in ("return redis.call('GET', 'other')", "return redis.call('FLUSHALL')"):
        async with linked(chat) as link:
            with pytest.raises(RedisDown):
                await link.run(Script.of(text), [], [])


def test_the_page_says_what_the_code_says() -> None:
    """One truth, and an example of it that can be copied."""
    assert acl(PREFIX) in PAGE
