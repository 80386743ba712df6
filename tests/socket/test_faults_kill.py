"""Processes that are killed under load, and a second server on the same store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.crowd import Poster, assert_acks_equal_store, never_two, posting, progress
from tests.patience import THOROUGH, until
from tests.socket.conftest import WIDE, Serve
from tests.socket.server import ROOT, Server

CLIENTS, PER_ADDRESS, KILLS = 40, 5, 15 if THOROUGH else 5


async def crowd(server: Server, clients: int = CLIENTS) -> list[Poster]:
    """Posters with an account each, five to an address."""
    posters = []
    for number in range(clients):
        token = await server.token(f"poster{number}")
        address = f"192.0.2.{number // PER_ADDRESS + 1}"

        def connect(token: str = token, address: str = address) -> object:
            return server.open(token, address=address)

        posters.append(Poster(f"poster{number}", connect))  # type: ignore[arg-type]
    return posters


def gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has taken note of it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def kill_master(server: Server) -> None:
    """Kill gunicorn's master with -9; its worker has to be gone within a second."""
    assert server.process is not None
    (worker,) = server.workers()
    server.process.kill()
    await asyncio.to_thread(until, lambda: gone(worker), "the worker dies with its master", 1.0)
    server.process.wait()


async def test_forty_clients_lose_nothing_when_the_master_is_killed_again_and_again(serve: Serve) -> None:
    """The union of acks equals what is stored, once each, without gaps; never two processes have the store open."""
    server = serve()
    posters, enough = await crowd(server), asyncio.Event()
    watch = asyncio.create_task(never_two(server.state / "data" / "chat.db", enough))
    async with posting(posters):
        for _ in range(KILLS):
            await progress(posters)
            await kill_master(server)
            await asyncio.to_thread(server.start)
        await progress(posters)
    enough.set()
    assert await watch > 10
    events = await assert_acks_equal_store(posters, server.load().database)
    assert len(events) >= CLIENTS * (KILLS + 1), "everybody made progress each time"


async def test_no_ack_is_lost_when_the_worker_is_killed(serve: Serve) -> None:
    """The master starts another worker; its leases are free, and every post is stored once."""
    server = serve(connections_per_user=1)
    posters = await crowd(server, 20)
    async with posting(posters):
        for _ in range(2):
            await progress(posters)
            (worker,) = server.workers()
            os.kill(worker, signal.SIGKILL)
            await asyncio.to_thread(until, lambda worker=worker: server.workers() not in ([], [worker]), "a new worker")
            await asyncio.to_thread(server.wait_ready)
        await progress(posters)
    assert server.workers() != [worker]
    assert sum((poster.refusals for poster in posters), Counter())["user_connections"] == 0
    await assert_acks_equal_store(posters, server.load().database)


def rival(server: Server, **changes: object) -> subprocess.Popen[str]:
    """A second gunicorn with the first one's settings but for the changes; it does not wait long for a lock."""
    changes = {"drain_seconds": 0.1, "graceful_seconds": 0.2, **changes}
    environment = server.environment | {f"PORTCULLIS_{name.upper()}": str(value) for name, value in changes.items()}
    command = [sys.executable, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "app.main:create_app()"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


async def test_a_second_server_on_the_same_store_ends_with_a_sentence(serve: Serve, tmp_path: Path) -> None:
    """On the same state folder or on another: it waits, ends with status 78, and the first one keeps its socket."""
    server, other = serve(), Server(tmp_path, WIDE)
    other.prepare()
    sockets = [(server.state / "run" / name).stat().st_ino for name in ("app.sock", "private.sock")]
    same = rival(server)
    elsewhere = rival(other, database_url=server.load().database)
    alice = await server.connect(await server.token("alice"))
    await alice.join()
    for process, lock in ((same, "run/master.lock"), (elsewhere, "data/chat.db.master.lock")):
        said = (await asyncio.to_thread(process.communicate, timeout=60))[1]
        assert process.returncode == 78, said
        assert f"{server.state}/{lock} is locked by process {server.process and server.process.pid} " in said
        assert "one store serves one process" in said
    assert (await alice.post("still here"))["type"] == "ack"
    assert [(server.state / "run" / name).stat().st_ino for name in ("app.sock", "private.sock")] == sockets
    assert not (other.state / "run" / "app.sock").exists()


async def test_a_socket_that_somebody_answers_on_is_left_to_them(serve: Serve, tmp_path: Path) -> None:
    """gunicorn would remove it: the start stops with a sentence and status 78 instead."""
    server, other = serve(), Server(tmp_path, WIDE)
    other.prepare()
    taken = server.state / "run" / "app.sock"
    process = rival(other, bind=f"unix:{taken}")
    said = (await asyncio.to_thread(process.communicate, timeout=60))[1]
    assert (process.returncode, f"{taken} is in use" in said) == (78, True), said
    assert (await server.refused(None)).reason == "credential_missing"


async def test_a_waiting_server_takes_over_when_the_first_one_ends(serve: Serve) -> None:
    """Nothing is in its way then, and it serves what the first one stored."""
    server = serve(drain_seconds=0.5, graceful_seconds=5)
    token = await server.token("alice")
    alice = await server.connect(token)
    await alice.join()
    first = await alice.post("before")
    waiting = rival(server, graceful_seconds=30)
    assert server.process is not None
    try:
        assert server.stop() == 0
        former, server.process = server.process, None
        await asyncio.to_thread(server.wait_ready)
        alice = await server.connect(token)
        assert (await alice.join())["offset"] == first["offset"]
    finally:
        waiting.terminate()
        await asyncio.to_thread(waiting.communicate, timeout=60)
        server.process = former
