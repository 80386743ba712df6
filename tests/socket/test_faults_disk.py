"""A disk that is full or read-only, a store that hangs: refused with a retry, nothing acked that is not stored."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crowd import stored_events
from tests.patience import until
from tests.socket.conftest import WIDE, Serve
from tests.socket.server import PASSWORD, Client, Server

CANARY = f"canary{secrets.token_hex(8)}"
DISK_BYTES = 2_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose data folder is a small disk of its own. Needs root, as `make test` in CI has."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", data], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", data], check=True)


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[Path]:
    """The same on a file system that turns read-only at its first fault, as ext4 does after an I/O error."""
    data, image = tmp_path / "data", tmp_path / "image.db"
    data.mkdir(mode=0o700)
    with image.open("wb") as file:
        file.truncate(16_000_000)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, data], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", data], check=True)


@contextlib.contextmanager
def started(state: Path, **settings: str) -> Iterator[Server]:
    """A server on the state folder, stopped before its disk goes."""
    server = Server(state, WIDE | settings)
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def fill(folder: Path) -> Path:
    """A file that takes the rest of the disk."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    return file


def break_disk(folder: Path) -> None:
    """What the kernel does by itself when ext4 meets an I/O error."""
    subprocess.run(["mount", "-o", "remount,abort", folder], check=True)


async def refused_at_last(client: Client) -> tuple[int, dict[str, object]]:
    """Post until it is refused: how many were acked before, and the refusal."""
    for number in range(5_000):
        answer = await client.post(CANARY, id=f"{CANARY[:20]}-{number}")
        if answer["type"] == "error":
            return number, answer
    raise AssertionError("the disk never filled up")


def degraded(server: Server) -> bool:
    return server.metric("chat_degraded", backend="store") == 1


async def assert_only_writes_fail(server: Server, token: str, ticket: str, client: Client) -> None:
    """What needs no write goes on; what does is 503 and may be tried again."""
    assert degraded(server)
    assert server.metric("chat_store_errors_total", verb="append") >= 1
    assert server.get("/ready", private=True)[0] == 200
    await client.send(type="ping", id="p")
    assert (await client.until(id="p"))["type"] == "ack"
    another = await server.connect(token)
    assert (await another.join())["type"] == "joined"
    refusal = await server.refused(None, path=f"/ws/chat?token={ticket}")
    assert (refusal.status, refusal.reason) == (503, "backend_down")
    assert int(refusal.retry_after or 0) >= 1
    body = {"name": "alice", "password": PASSWORD}
    status, headers, answer = server.get("/api/session", method="POST", body=body)
    assert (status, b"backend_down" in answer) == (503, True), answer
    assert int(headers["retry-after"]) >= 1
    assert "set-cookie" not in headers


async def test_a_full_disk_refuses_writes_and_heals_by_itself(disk: Path) -> None:
    """Posts are busy and connections stay; with space again the same ids are stored, once, without a gap."""
    with started(disk) as server:
        await server.person("alice")
        token = await server.mint("alice")
        alice = await server.connect(token)
        await alice.join()
        ticket = ticket_of(server, token)
        filler = fill(disk / "data")
        acked, refusal = await refused_at_last(alice)
        assert refusal["code"] == "busy"
        assert 0 < float(str(refusal["retry_after"])) <= 5
        await assert_only_writes_fail(server, token, ticket, alice)
        tries = write_pings(server)
        await asyncio.to_thread(until, lambda: write_pings(server) >= tries + 2, "it tries to write")
        assert degraded(server), "not over before a write succeeds"
        filler.unlink()
        await asyncio.to_thread(until, lambda: not degraded(server), "it heals without a post")
        assert server.metric("chat_messages_total", outcome="busy") >= 1
        assert server.metric("chat_messages_total", outcome="refused") == 0, "nobody's fault but the server's"
        again = await alice.post(CANARY, id=refusal["id"])
        assert (again["type"], again["offset"]) == ("ack", acked + 1)
        assert isinstance(await server.open(None, path=f"/ws/chat?token={ticket_of(server, token)}"), Client)
        assert len(await stored_events(server.load().database)) == acked + 1
        assert CANARY not in server.log()
        assert PASSWORD not in server.log()


def write_pings(server: Server) -> float:
    """How often the server has tried whether it can write."""
    return server.metric("chat_store_seconds_count", verb="ping_write")


def ticket_of(server: Server, token: str) -> str:
    """A fresh ticket."""
    headers = {"Authorization": f"Bearer {token}"}
    status, _, answer = server.get("/api/tickets", method="POST", headers=headers)
    assert status == 201
    return str(json.loads(answer)["ticket"])


async def test_a_disk_that_turns_read_only_refuses_writes(failing_disk: Path) -> None:
    """The same, but for ever: nothing that was acked is missing when the disk is read elsewhere."""
    with started(failing_disk) as server:
        await server.person("alice")
        token = await server.mint("alice")
        alice = await server.connect(token)
        await alice.join()
        ticket = ticket_of(server, token)
        assert (await alice.post("before it was full"))["offset"] == 1
        break_disk(failing_disk / "data")
        acked, refusal = await refused_at_last(alice)
        assert (acked, refusal["code"]) == (0, "busy")
        await assert_only_writes_fail(server, token, ticket, alice)
        assert [event.message for event in await stored_events(server.load().database)] == ["before it was full"]


@contextlib.contextmanager
def unanswering(database: Path) -> Iterator[None]:
    """Every lock that a reader or writer of the WAL needs is held by us (sqlite.org/walformat.html, 2.2.1)."""
    with database.with_name(database.name + "-shm").open("r+b") as index:
        fcntl.lockf(index, fcntl.LOCK_EX, 8, 120)
        yield


async def test_a_store_that_does_not_answer_turns_readiness_red_and_comes_back(serve: Serve) -> None:
    """Not ready, no handshake, no ack, connections stay; when it answers again everything goes on by itself."""
    server = serve(store_timeout_seconds=1)
    token = await server.token("alice")
    alice = await server.connect(token)
    await alice.join()
    with unanswering(server.state / "data" / "chat.db"):
        assert server.get("/ready", private=True)[::2] == (503, b"the store does not answer\n")
        assert (await alice.post("lost?", id="l"))["code"] == "busy"
        assert server.metric("chat_messages_total", outcome="busy") == 1
        refusal = await server.refused(token)
        assert (refusal.status, refusal.reason) == (503, "backend_down")
        await asyncio.to_thread(until, lambda: degraded(server), "it is degraded")
    await asyncio.to_thread(until, lambda: server.get("/ready", private=True)[0] == 200, "it is ready")
    await asyncio.to_thread(until, lambda: not degraded(server), "it is not degraded")
    assert (await alice.post("lost?", id="l"))["offset"] == 1
    await server.connect(token)


async def test_credentials_expire_while_the_store_does_not_answer(serve: Serve) -> None:
    """The clock does not wait for the store."""
    server, began = serve(store_timeout_seconds=5), time.time()
    token = await server.token("alice", expires_at=began + 3)
    alice = await server.connect(token)
    with unanswering(server.state / "data" / "chat.db"):
        assert await alice.closed() == (4001, "credential_expired")
    assert time.time() - began < 3 + 2
