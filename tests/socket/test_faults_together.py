"""What several servers share fails: Redis, PostgreSQL, a worker. Each row of the failure policy, then recovery."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.contract.servers import Server as Redis
from tests.contract.servers import running as redis_running
from tests.patience import PATIENCE, until
from tests.postgres import Cluster
from tests.socket.server import ORIGIN, Client, Refused, Server, new_address, new_name, running
from tests.socket.together import database, shared, two

LEASE = 30.0


@pytest.fixture
def redis() -> Iterator[Redis]:
    with redis_running("redis") as server:
        yield server


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with database(cluster) as url:
        yield url


async def told(ask: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """`until`, off the event loop."""
    await asyncio.to_thread(until, ask, what, seconds)


def ready(server: Server) -> str:
    """What the server says of itself."""
    return server.get("/ready", private=True)[2].decode().strip()


async def member(server: Server, name: str) -> Client:
    client = await server.connect(await server.token(name), address=new_address())
    await client.join()
    return client


async def test_without_redis_who_is_in_goes_on_and_nobody_new_gets_in(tmp_path: Path, url: str, redis: Redis) -> None:
    """Posts are stored and reach both servers, limits fall to each one's share, and all of it ends by itself."""
    tight = {"posts_per_user_per_second": "0.001", "posts_per_user_burst": "5", "redis_timeout_seconds": "0.5"}
    with two(tmp_path, url, redis, **tight) as (one, other):
        ann, bob, eve = await member(one, new_name()), await member(other, new_name()), await member(one, new_name())
        token = await one.token(new_name())
        for server in (one, other):
            await told(lambda server=server: server.metric("chat_processes") == 2, "they know of each other")  # type: ignore[misc]
        redis.kill()
        for server in (one, other):
            await told(lambda server=server: ready(server) == "Redis does not answer", "readiness is red")  # type: ignore[misc]
            assert server.metric("chat_degraded", backend="redis") == 1.0
            assert server.metric("chat_degraded", backend="broker") == 1.0
            refused = await server.refused(token, address=new_address())
            assert (refused.status, refused.reason, refused.retry_after is None) == (503, "backend_down", False)
            assert server.log_lines("handshake_refused")[-1]["why"]
        assert (await ann.post("through the store"))["type"] == "ack"
        began = time.monotonic()
        await bob.until(type="message", message="through the store")
        assert time.monotonic() - began < 3.0
        # Two processes: half of a burst of five, rounded down, each.
        assert [(await eve.post("share"))["type"] for _ in range(3)] == ["ack", "ack", "error"]
        redis.start()
        for server in (one, other):
            await told(lambda server=server: ready(server) == "ready", "it recovers by itself")  # type: ignore[misc]
            assert server.metric("chat_degraded", backend="redis") == 0.0
        await told(lambda: _lets_in(one, token), "newcomers are let in again")
        await ann.post("and live again")
        began = time.monotonic()
        await bob.until(type="message", message="and live again")
        assert time.monotonic() - began < 1.0
        # What passed meanwhile counts: three of five are left, not five.
        assert [(await eve.post("after"))["type"] for _ in range(4)] == ["ack"] * 3 + ["error"]


def _lets_in(server: Server, token: str) -> bool:
    async def ask() -> bool:
        answer = await server.open(token, address=new_address())
        if isinstance(answer, Refused):
            return False
        await answer.socket.close()
        return True

    return asyncio.run(ask())


async def test_a_revocation_while_redis_is_gone_is_obeyed_everywhere(tmp_path: Path, url: str, redis: Redis) -> None:
    """It stands in the store, and the other server looks there."""
    with two(tmp_path, url, redis, redis_timeout_seconds="0.5") as (one, other):
        admin = {"Origin": ORIGIN, **await one.admin()}
        token = await one.token(new_name())
        live = await other.connect(token, address=new_address())
        redis.kill()
        await told(lambda: ready(other) != "ready", "it notices")
        status, _, body = one.get("/api/revocations", method="POST", body={"token": token}, headers=admin)
        assert status == 204, body
        began = time.monotonic()
        assert await live.closed() == (4501, "revoked")
        assert time.monotonic() - began < 3.0


async def test_a_redis_that_stands_still_holds_nobody_up(tmp_path: Path, url: str, redis: Redis) -> None:
    """Each wait for it ends after its time-out; afterwards all is as before."""
    with two(tmp_path, url, redis, redis_timeout_seconds="0.5") as (one, other):
        ann, bob = await member(one, new_name()), await member(other, new_name())
        redis.pause()
        began = time.monotonic()
        assert (await ann.post("patience"))["type"] == "ack"
        assert time.monotonic() - began < 2.0
        await bob.until(type="message", message="patience")
        await told(lambda: ready(one) != "ready", "readiness is red")
        redis.resume()
        for server in (one, other):
            await told(lambda server=server: ready(server) == "ready", "it recovers by itself")  # type: ignore[misc]


async def test_without_the_database_nothing_is_acked_and_everybody_stays(tmp_path: Path, redis: Redis) -> None:
    """Posts are refused as `busy`, newcomers with 503; what was acked is there afterwards, and posts pass again."""
    with (
        postgres.cluster() as mortal,
        two(tmp_path, mortal.url(postgres.MIGRATED), redis, store_timeout_seconds="1") as (one, other),
    ):
        ann, bob = await member(one, new_name()), await member(other, new_name())
        token = await one.token(new_name())
        acked = [(await ann.post("before"))["offset"]]
        await asyncio.to_thread(mortal.stop, signal.SIGKILL)
        refused = await ann.post("lost?", id="again")
        assert (refused["type"], refused["code"]) == ("error", "busy") and refused["retry_after"] > 0
        for server in (one, other):
            newcomer = await server.refused(token, address=new_address())
            assert (newcomer.status, newcomer.reason) == (503, "backend_down")
            await told(lambda server=server: ready(server) == "the store does not answer", "readiness is red")  # type: ignore[misc]
            await told(lambda server=server: server.metric("chat_degraded", backend="store") == 1.0, "it is counted")  # type: ignore[misc]
        await asyncio.to_thread(mortal.start)
        for server in (one, other):
            await told(lambda server=server: ready(server) == "ready", "it recovers by itself")  # type: ignore[misc]
        acked.append((await ann.post("lost?", id="again"))["offset"])
        seen = [(await bob.until(type="message"))["offset"] for _ in acked]
        assert seen == acked == list(range(acked[0], acked[0] + 2))


async def test_a_killed_worker_leaves_nothing_behind(tmp_path: Path, url: str, redis: Redis) -> None:
    """Two workers: what is counted is counted over both; one is killed, replaced, and its leases and gauges end."""
    settings = shared(url, redis, workers="2", connections_per_user="6", connections_per_address="6")
    with running(tmp_path, **settings) as server:
        name, address = new_name(), new_address()
        token = await server.token(name)
        clients = [await server.connect(token, address=address) for _ in range(6)]
        for client in clients:
            await client.join()
            assert (await client.post("hello, all"))["type"] == "ack"
        for _ in range(8):  # whoever answers, answers for both
            assert server.metric("chat_connections") == 6
            assert server.metric("chat_messages_total", outcome="accepted") == 6
            assert server.metric("chat_handshakes_total", verdict="accepted") == 6
        assert (await server.refused(token, address=address)).reason == "user_connections"
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        killed = time.monotonic()
        await told(lambda: len(set(server.workers()) - {before[0]}) == 2, "it is replaced")
        alive = [client for client in clients if await _lives(client)]
        await told(lambda: server.metric("chat_connections") == len(alive), "its gauge's part is gone")
        assert server.metric("chat_messages_total", outcome="accepted") == 6
        back: list[Client] = []
        while len(back) < 6 - len(alive):
            answer = await server.open(token, address=address)
            if isinstance(answer, Client):
                back.append(answer)
            assert time.monotonic() - killed < LEASE + 5.0
            await asyncio.sleep(0.2)
        for client in back:
            joined = await client.ask(type="join", room="lobby", after=0, epoch=(await client.join())["epoch"])
            assert joined["offset"] == 6


async def _lives(client: Client) -> bool:
    with contextlib.suppress(Exception):
        return bool((await client.ask(type="ping"))["type"] == "ack")
    return False


async def test_two_servers_that_share_nothing_never_serve_one_database(tmp_path: Path, url: str) -> None:
    """Without Redis the second one ends with a sentence; with the first one gone it serves."""
    short = {"database_url": url, "graceful_seconds": "1", "drain_seconds": "0.5"}
    with running(tmp_path / "one", **short) as one:
        other = Server(tmp_path / "other", short)
        other.prepare()
        with pytest.raises(AssertionError):
            await asyncio.to_thread(other.start)
        assert "Another server works on this database" in other.log()
        await member(one, new_name())
    await asyncio.to_thread(other.start)
    try:
        await member(other, new_name())
    finally:
        other.stop()
