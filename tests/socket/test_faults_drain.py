"""Going away under load: announced, paced, nothing acked is lost, and within its time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter

from websockets.exceptions import ConnectionClosed

from tests.crowd import Poster, assert_acks_equal_store, posting, progress, stored_events
from tests.patience import PATIENCE, until
from tests.socket.conftest import Serve
from tests.socket.server import Client
from tests.socket.test_faults_kill import crowd


async def test_sigterm_under_load_loses_nothing(serve: Serve) -> None:
    """The worker is told to go: hints are spread, closes are 1012, and the next worker takes over every client."""
    server = serve(drain_seconds=3, graceful_seconds=10)
    posters = await crowd(server)
    (worker,) = server.workers()
    async with posting(posters):
        await progress(posters)
        os.kill(worker, signal.SIGTERM)
        began = time.monotonic()
        await asyncio.to_thread(until, lambda: server.workers() not in ([], [worker]), "the next worker")
        assert time.monotonic() - began < 10
        await asyncio.to_thread(server.wait_ready)
        await progress(posters)
    assert sum((poster.closes for poster in posters), Counter()) == {1012: len(posters)}
    hints = [hint for poster in posters for hint in poster.hints]
    assert len(hints) == len(posters)
    assert all(0.2 <= hint <= 1.0 for hint in hints)
    assert max(hints) - min(hints) > 0.4
    assert {"draining"} <= set(sum((poster.refusals for poster in posters), Counter()))
    await assert_acks_equal_store(posters, server.load().database)
    assert [line["flushed"] for line in server.log_lines("drain_ended")] == [True]


async def test_while_it_drains_it_is_not_ready_and_lets_nobody_in(serve: Serve) -> None:
    """Readiness is off and a handshake gets 503 draining; connections close one after the other, the API goes on."""
    server = serve(drain_seconds=4, graceful_seconds=10)
    token = await server.token("alice")
    clients = [await server.connect(token) for _ in range(30)]
    watches = [asyncio.create_task(closing(client)) for client in clients]
    os.kill(server.workers()[0], signal.SIGTERM)
    await asyncio.to_thread(until, lambda: server.metric("chat_drains_total") == 1, "the drain begins")
    assert server.get("/ready", private=True)[::2] == (503, b"draining\n")
    assert server.get("/live", private=True)[0] == 200
    refused = await server.refused(token)
    assert (refused.status, refused.reason) == (503, "draining")
    assert 1 <= int(refused.retry_after or 0) <= 3
    assert server.get("/.well-known/jwks.json")[0] == 200
    times = sorted(await asyncio.gather(*watches))
    assert times[-1] - times[0] > 1
    assert max(Counter(int((at - times[0]) * 5) for at in times).values()) <= 10, "no fifth of a second has a third"


async def closing(client: Client) -> float:
    """When the server closed it, with 1012."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                await client.socket.recv()
    except ConnectionClosed:
        assert (client.socket.close_code, client.socket.close_reason) == (1012, "restart")
    return time.monotonic()


async def test_stopping_the_master_lets_clients_go_in_order(serve: Serve) -> None:
    """With a reader that stalled and one that never answers a close, it still ends in time and with status 0."""
    server = serve(drain_seconds=1, graceful_seconds=8)
    poster = Poster("poster", lambda: server.open(token))
    token = await server.token("poster")
    silent = await server.connect(await server.token("silent"))
    silent.socket.transport.pause_reading()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(poster.run(asyncio.Event()))
        await poster.has_acked(3)
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - began < 8
        running.cancel()
    assert poster.closes == {1012: 1}
    assert not (server.state / "run" / "app.sock").exists()
    stored = {event.message: event.offset for event in await stored_events(server.load().database)}
    assert len(poster.acked) >= 3
    assert poster.acked.items() <= stored.items()
