"""Peers that stop reading, flood, or are silently gone: bounded, closed, counted, and no one else's business."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.crowd import stored_events
from tests.patience import PATIENCE, until
from tests.socket.conftest import Serve
from tests.socket.raw import CLOSE, PING, TEXT, Raw, masked
from tests.socket.server import OPENED, Client, Refused, Server

ADDRESS = "192.0.2.9"
LARGE = "\N{PERSON WITH FOLDED HANDS}" * 500


@pytest.fixture(autouse=True)
async def gone_first(serve: Serve) -> AsyncIterator[None]:
    """Clients that a test leaves open go before the server does, which would wait for their close frames."""
    yield
    while OPENED:
        OPENED.pop().transport.abort()
    await asyncio.sleep(0)


async def joined(server: Server, name: str, **options: Any) -> Client:
    """A client in the default room, from an address of its own."""
    client = await server.connect(await server.token(name), **options)
    await client.join()
    return client


async def stalled(server: Server, name: str) -> Raw:
    """A member of the default room that reads nothing more."""
    raw = await Raw.open(server)
    await raw.connect(await server.token(name), ADDRESS)
    raw.send(type="join", room="lobby")
    await raw.until(type="joined")
    reading(raw).pause_reading()
    return raw


def reading(raw: Raw) -> asyncio.ReadTransport:
    """The side of its transport that can be paused."""
    transport = raw.writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    return transport


async def pour(poster: Client, size: int) -> None:
    """Post until each member has been sent so many bytes: long before a reader that stopped is missed by its pongs."""
    for _ in range(1 + size // len(LARGE.encode()) // 31):
        await asyncio.gather(*(poster.send(type="post", room="lobby", message=LARGE) for _ in range(30)))
        assert (await poster.post(LARGE))["type"] == "ack"


async def round_trips(poster: Client, reader: Client, posts: int) -> list[float]:
    """Seconds from each post until it is both acked and read by another member."""
    took = []
    for _ in range(posts):
        text = secrets.token_hex(4) + LARGE[8:]
        began = time.perf_counter()
        answers = await asyncio.gather(poster.post(text), reader.until(type="message", message=text))
        assert [answer["type"] for answer in answers] == ["ack", "message"]
        took.append(time.perf_counter() - began)
    return took


async def test_a_reader_that_stops_is_closed_and_nobody_else_notices(serve: Serve) -> None:
    """Its outbox stays within its bytes, it is closed with 4000 and counted; the others' messages arrive in time."""
    server = serve(outbox_bytes=65_536)
    alice, bob = await joined(server, "alice"), await joined(server, "bob")
    before = await round_trips(alice, bob, 100)
    raw = await stalled(server, "mallory")
    during, fullest = [], 0.0
    async with asyncio.timeout(PATIENCE):
        # What the kernel takes on a Unix socket before the outbox fills differs between machines.
        while server.metric("chat_slow_consumers_total") == 0:
            during += await round_trips(alice, bob, 50)
            fullest = max(fullest, server.metric("chat_outbox_bytes"))
    assert fullest <= 65_536
    assert max(during) < 1.0
    assert statistics.median(during) < 3 * statistics.median(before) + 0.01
    until(lambda: server.metric("chat_closes_total", code="4000") == 1, "the close is counted")
    assert server.metric("chat_connections") == 2
    assert server.metric("chat_slow_consumers_total") == 1
    assert server.log_lines("connection_closed")[-1]["user"] == "mallory"
    raw.writer.close()


async def test_who_reads_on_in_time_learns_why_it_was_closed(serve: Serve) -> None:
    """The close frame says 4000 slow_consumer, behind whole frames."""
    server = serve(outbox_bytes=16_384)
    alice, raw = await joined(server, "alice"), await stalled(server, "mallory")
    await pour(alice, 1_000_000)
    assert server.metric("chat_slow_consumers_total") == 1
    reading(raw).resume_reading()
    assert await raw.closed() == (4000, "slow_consumer")


async def test_what_may_be_missed_is_left_out_first(serve: Serve) -> None:
    """With half of the outbox waiting join notices are dropped and counted, while messages still go in."""
    server = serve(outbox_bytes=4_000_000, bytes_per_user_burst=1_000_000_000)
    alice, raw = await joined(server, "alice"), await stalled(server, "mallory")
    # The kernel takes some hundred kilobytes of it.
    await pour(alice, 3_000_000)
    await joined(server, "bob")
    await asyncio.to_thread(until, lambda: server.metric("chat_outbox_dropped_total") == 1, "the notice is left out")
    delivered = server.metric("chat_deliveries_total")
    await alice.post("still written to all three")
    assert server.metric("chat_deliveries_total") == delivered + 3
    assert server.metric("chat_slow_consumers_total") == 0
    raw.writer.close()


def sockets(server: Server) -> int:
    """How many sockets the worker has open."""
    (worker,) = server.workers()
    found = 0
    for file in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since the folder was listed
            found += str(file.readlink()).startswith("socket:")
    return found


async def test_closing_without_reading_holds_no_socket(serve: Serve) -> None:
    """A peer that says goodbye, breaks the protocol or ends its half, and never reads, is cut off within seconds."""
    server = serve(outbox_bytes=4_000_000, bytes_per_user_burst=1_000_000_000)
    alice = await joined(server, "alice")
    open_before = sockets(server)
    raws = [await stalled(server, f"mallory{number}") for number in range(3)]
    await pour(alice, 1_500_000)
    raws[0].frame(CLOSE, (1000).to_bytes(2, "big"))
    raws[1].frame(CLOSE, b"x")
    raws[2].writer.write_eof()
    await asyncio.to_thread(until, lambda: sockets(server) <= open_before, "their sockets are closed", 10)
    assert server.metric("chat_connections") == 1
    for raw in raws:
        raw.writer.close()


async def test_a_flood_is_throttled_then_closed_and_cooled_down_once(serve: Serve) -> None:
    """Each throttle names limit and wait; more than twenty in a minute are 4500 and 30 s, however much came at once."""
    server = serve(posts_per_user_per_second=1, posts_per_user_burst=5)
    token = await server.token("flora")
    alice, bob = await joined(server, "alice"), await joined(server, "bob")
    flood = await server.connect(token)
    await flood.join()
    other = await server.connect(token)
    frames = [json.dumps({"type": "post", "room": "lobby", "message": "f", "id": f"{n}"}) for n in range(2_000)]
    # In one piece: what it costs to send must not count as the others' waiting.
    flood.socket.transport.write(b"".join(masked(TEXT, frame.encode()) for frame in frames))
    calm = await round_trips(alice, bob, 4)
    seen = await until_closed(flood)
    assert max(calm) < 1.0
    assert (flood.socket.close_code, flood.socket.close_reason) == (4500, "flood")
    throttles = [frame for frame in seen if frame["type"] == "error"]
    assert {(frame["code"], frame["limit"]) for frame in throttles} == {("rate_limited", "posts_per_user")}
    assert all(0 < frame["retry_after"] <= 1 for frame in throttles)
    assert await other.closed() == (4500, "flood")
    stored = [event for event in await stored_events(server.load().database) if event.sender == "flora"]
    # The close may overtake the acks: what was stored without one is sent again with its id.
    assert len([frame for frame in seen if frame["type"] == "ack"]) <= len(stored) <= 5 + 2
    assert len(throttles) == server.metric("chat_messages_throttled_total", limit="posts_per_user") == 21
    refused = await server.refused(token)
    assert (refused.status, refused.reason) == (429, "user_cooldown")
    assert 20 < refused.body["retry_after"] <= 30
    assert len(server.log_lines("user_cooled_down")) == 1
    assert (await alice.post("as ever"))["type"] == "ack"


async def until_closed(client: Client) -> list[dict[str, Any]]:
    """All frames that still come."""
    found = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(await client.receive())
    return found


async def test_a_flood_of_pings_is_closed_and_cooled_down_once(serve: Serve) -> None:
    """Control frames count like any other, and those that came in one packet are one flood."""
    server = serve(frames_per_connection_per_second=10, frames_per_connection_burst=20)
    token = await server.token("flora")
    raw = await Raw.open(server)
    await raw.connect(token, ADDRESS)
    for _ in range(1_000):
        raw.frame(PING)
    assert await raw.closed() == (4500, "flood")
    assert (await server.refused(token)).body["retry_after"] <= 30
    assert len(server.log_lines("user_cooled_down")) == 1
    raw.writer.close()


async def test_a_silent_peer_is_noticed_and_its_lease_returns(serve: Serve) -> None:
    """Frozen or never answering a ping: closed with 1011 after one interval and one time-out, and its place is free."""
    server = serve(ping_seconds=0.5, pong_seconds=0.5, connections_per_user=1, connections_per_address=2)
    token, other = await server.token("gone"), await server.token("frozen")
    raw = await Raw.open(server)
    await raw.connect(token, ADDRESS)
    frozen = await freeze(server, other)
    try:
        assert (await server.refused(token)).reason == "user_connections"
        assert (await server.refused(await server.token("third"), address=ADDRESS)).reason == "ip_connections"
        began = time.monotonic()
        assert await raw.closed() == (1011, "ping timeout")
        assert time.monotonic() - began < 3
        await asyncio.to_thread(until, lambda: server.metric("chat_connections") == 0, "both are gone", 3)
        assert server.metric("chat_closes_total", code="1011") == 2
        for name in (token, other):
            assert isinstance(await server.open(name, address=ADDRESS), Client)
    finally:
        os.kill(frozen, signal.SIGKILL)
        await asyncio.to_thread(os.waitpid, frozen, 0)
        raw.writer.close()


async def freeze(server: Server, token: str) -> int:
    """Another process with an open connection, stopped as a laptop is when its lid closes; its pid."""
    raw = await Raw.open(server)
    await raw.connect(token, ADDRESS)
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    await asyncio.to_thread(os.waitpid, pid, os.WUNTRACED)
    # From here on the stopped process alone holds the connection, and the server hears nothing of our leaving.
    raw.writer.close()
    return pid


@contextlib.contextmanager
def locked(server: Server) -> Iterator[None]:
    """Another program writes to the database, and does not finish."""
    with contextlib.closing(sqlite3.connect(server.state / "data" / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_slow_store_does_not_look_like_a_silent_peer(serve: Serve) -> None:
    """While a frame waits behind another that waits for the store, so do the pongs: no reason to close."""
    server = serve(ping_seconds=0.2, pong_seconds=0.2, store_timeout_seconds=3)
    token = await server.token("alice")
    _, _, answer = server.get(
        "/api/tickets", method="POST", headers={"Authorization": f"Bearer {token}"}, address=ADDRESS
    )
    alice = await joined(server, "alice")
    with locked(server):
        await alice.send(type="refresh", token=json.loads(answer)["ticket"], id="r")
        await alice.send(type="ping", id="behind")
        assert (await alice.until(id="r"))["code"] == "busy"
        assert (await alice.until(id="behind"))["type"] == "ack"
    assert (await alice.post("still connected"))["type"] == "ack"


async def test_comings_and_goings_leave_nothing_behind(serve: Serve) -> None:
    """After 500 connections, orderly or not, none is counted, no socket is left and every place is free."""
    server = serve(connections_per_user=5, connections_per_address=5)
    tokens = [await server.token(f"guest{number}") for number in range(5)]
    (await server.connect(tokens[0])).socket.transport.abort()
    await asyncio.to_thread(until, lambda: server.metric("chat_connections") == 0, "the first one is gone")
    open_before = sockets(server)
    for turn in range(20):
        await asyncio.gather(*(come_and_go(server, tokens[n % 5], f"192.0.2.{n % 5}", turn + n) for n in range(25)))
        await asyncio.to_thread(until, lambda: server.metric("chat_connections") == 0, "all are gone")
    assert server.metric("chat_handshakes_total", verdict="accepted") == 501
    await asyncio.to_thread(until, lambda: sockets(server) <= open_before, "their sockets are closed")
    again = [await server.open(token, address="192.0.2.77") for token in tokens]
    assert not [answer for answer in again if isinstance(answer, Refused)]
    alice = again[0]
    assert isinstance(alice, Client)
    await alice.join()
    delivered = server.metric("chat_deliveries_total")
    await alice.post("alone")
    assert server.metric("chat_deliveries_total") == delivered + 1


async def come_and_go(server: Server, token: str, address: str, number: int) -> None:
    """One visit: it ends in order, or with a cut, or before the room was joined."""
    client = await server.connect(token, address=address)
    if number % 3:
        await client.join()
    if number % 2:
        await client.socket.close()
    else:
        client.socket.transport.abort()
