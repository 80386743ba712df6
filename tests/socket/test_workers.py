"""One server with four workers on PostgreSQL and Valkey: what is promised holds over all of them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from math import floor
from pathlib import Path

import pytest

from tests.contract.servers import running as redis_running
from tests.patience import PATIENCE, THOROUGH, until
from tests.postgres import Cluster
from tests.socket.server import ORIGIN, Client, Server, new_address, new_name, running
from tests.socket.together import database, shared

WORKERS = 4
CONNECTIONS = 5
FLOOD = 30.0 if THOROUGH else 8.0
RATE, BURST = 1.0, 5
EACH = 8.0
"""Posts a second on each connection: below what a connection may send."""
USUAL = {
    "connections_per_user": str(CONNECTIONS),
    "posts_per_user_per_second": f"{RATE:g}",
    "posts_per_user_burst": str(BURST),
    "throttles_per_minute": "100000",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Server]:
    """With the usual limits of a user, but nobody is closed for flooding."""
    with (
        database(cluster) as url,
        redis_running("valkey") as redis,
        running(tmp_path_factory.mktemp("workers"), **shared(url, redis, workers=str(WORKERS), **USUAL)) as started,
    ):
        yield started


async def connections(server: Server, name: str, count: int = CONNECTIONS) -> list[Client]:
    """So many, live in the default room."""
    token, address = await server.token(name), new_address()
    # However much comes: a client that stops to read because of it misses its pings.
    clients = [await server.connect(token, address=address, max_queue=None) for _ in range(count)]
    for client in clients:
        await client.join()
    return clients


async def flood(client: Client, ends: float) -> int:
    """How many of the posts passed that were sent at an even pace, whatever became of them."""
    clock, sent = time.monotonic, 0
    while clock() < ends:
        await client.send(type="post", room="lobby", message="flood", id=f"{sent}")
        sent += 1
        await asyncio.sleep(1 / EACH)
    passed = 0
    for _ in range(sent):
        while "id" not in (frame := await client.receive()) or frame["type"] not in ("ack", "error"):
            pass
        passed += frame["type"] == "ack"
    return passed


async def honest(client: Client, ends: float) -> int:
    """Post at half the rate; how many posts were refused."""
    refused = 0
    while time.monotonic() < ends:
        refused += (await client.post("hello, all"))["type"] == "error"
        await asyncio.sleep(2 / RATE)
    return refused


async def test_a_flood_over_five_connections_passes_as_one_users(server: Server) -> None:
    """At most burst + rate x time, at least 98 % of that, whichever workers they are on; nobody else is throttled."""
    flooding = await connections(server, new_name())
    others = [(await connections(server, new_name(), 1))[0] for _ in range(10)]
    began = time.monotonic()
    ends = began + FLOOD
    refused, passed = await asyncio.gather(
        asyncio.gather(*(honest(client, ends) for client in others)),
        asyncio.gather(*(flood(client, ends) for client in flooding)),
    )
    # The last post may have been judged this much later than it was due to be sent.
    allowed = BURST + RATE * (time.monotonic() - began)
    assert floor((BURST + RATE * FLOOD) * 0.98) <= sum(passed) <= allowed, (passed, allowed)
    assert refused == [0] * len(others)


async def test_caps_hold_to_the_unit_also_right_after_a_worker_was_killed(server: Server) -> None:
    """Of forty attempts at once exactly five get in; after the kill never more than five are open."""
    token, address = await server.token(new_name()), new_address()

    async def attempts() -> list[Client]:
        answers = await asyncio.gather(*(server.open(token, address=address) for _ in range(40)))
        return [answer for answer in answers if isinstance(answer, Client)]

    inside = await attempts()
    assert len(inside) == CONNECTIONS
    alive = inside
    for worker in server.workers():
        os.kill(worker, signal.SIGKILL)
        alive = [client for client in alive if await lives(client)]
        if len(alive) < CONNECTIONS:
            break
    killed = time.monotonic()
    assert len(alive) < CONNECTIONS
    newcomers: list[Client] = []
    while len(alive) + len(newcomers) < CONNECTIONS or time.monotonic() - killed < 2:
        newcomers += await attempts()
        assert len(alive) + len(newcomers) <= CONNECTIONS
        assert time.monotonic() - killed < 35
        await asyncio.sleep(0.5)
    await asyncio.to_thread(until, lambda: len(server.workers()) == WORKERS, "the worker is replaced")


async def lives(client: Client) -> bool:
    """Whether somebody still answers there."""
    try:
        return bool((await client.ask(type="ping"))["type"] == "ack")
    except Exception:  # however it ended
        return False


async def test_revoking_a_user_closes_every_socket_within_a_second(server: Server) -> None:
    """On each worker; ending one session leaves the user's others."""
    admin = {"Origin": ORIGIN, **await server.admin()}
    name = await server.person(new_name())
    address = new_address()
    one, other = server.sign_in(name, address), server.sign_in(name, address)
    ending = [await server.connect(None, headers=one, address=address) for _ in range(2)]
    staying = [await server.connect(None, headers=other, address=address) for _ in range(3)]
    since = time.monotonic()
    assert server.get("/api/session", method="DELETE", headers=one, address=address)[0] == 204
    assert [await client.closed() for client in ending] == [(4501, "revoked")] * 2
    assert time.monotonic() - since < 1.0
    for client in staying:
        assert (await client.ask(type="ping"))["type"] == "ack"
    since = time.monotonic()
    status, _, body = server.get(
        f"/api/accounts/{name}", method="PATCH", headers=admin, body={"disabled": True}, address=new_address()
    )
    assert status in (200, 204), body
    assert [await client.closed() for client in staying] == [(4502, "account_disabled")] * 3
    assert time.monotonic() - since < 1.0


async def test_clients_are_on_every_worker(server: Server) -> None:
    """Otherwise this file would say little: each holds sockets beside the listener, of those who came in there."""
    seen: set[int] = set()
    ends = time.monotonic() + PATIENCE
    while len(seen) < WORKERS:
        assert time.monotonic() < ends, seen
        await connections(server, new_name(), 1)
        seen |= {pid for pid in server.workers() if sockets(server, pid) > 1}


def sockets(server: Server, pid: int) -> int:
    """How many sockets on the public listener's path a process holds, the listener itself among them."""
    path = str(server.state / "run" / "app.sock")
    lines = Path("/proc/net/unix").read_text().splitlines()
    inodes = {f"socket:[{line.split()[6]}]" for line in lines if line.endswith(path)}
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
    return len(inodes.intersection(links))
