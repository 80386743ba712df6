"""A PostgreSQL server that dies, stands still, has no room, or doubts its commits: no acked event is lost."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.model import DEFAULT_ROOM
from app.store import Store, StoreDown
from tests import postgres
from tests.contract.house import opened, passes, post
from tests.contract.outages import acked_until, acked_until_down, intact, recovered
from tests.patience import PATIENCE, THOROUGH, until
from tests.postgres import Cluster

ROOT = Path(__file__).parents[2]
PAUSE = 20.0 if THOROUGH else 3.0


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    """A server that a test may do anything to."""
    with postgres.cluster() as one:
        yield one


async def test_a_server_that_is_killed_in_the_middle_of_writes_loses_no_acked_event(mortal: Cluster) -> None:
    """Twice with kill -9, once with a restart: the store says that it is down, and goes on by itself."""
    acked: dict[str, int] = {}
    store = Store(mortal.tcp_url("migrated"), 2.0, password_file=mortal.password_file)
    await store.open()
    try:
        for how in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
            writing = asyncio.create_task(acked_until_down(store, acked))
            enough = len(acked) + 200
            await asyncio.to_thread(until, lambda enough=enough: len(acked) >= enough, "posts are acked")
            await asyncio.to_thread(mortal.stop, how)
            await writing
            with pytest.raises(StoreDown):
                await store.ping()
            await asyncio.to_thread(mortal.start)
            await recovered(store)
        await intact(store, acked)
    finally:
        await store.close()


async def test_a_server_that_stands_still_is_an_outage_until_it_goes_on(mortal: Cluster) -> None:
    """Nothing is acked meanwhile, callers are told in time, and what was in flight is stored once or not at all."""
    acked: dict[str, int] = {}
    store = Store(mortal.tcp_url("migrated"), 1.0, password_file=mortal.password_file)
    await store.open()
    try:
        writing = asyncio.create_task(acked_until_down(store, acked))
        await asyncio.to_thread(until, lambda: len(acked) >= 100, "posts are acked")
        with mortal.paused():
            await writing
            ends, there = time.monotonic() + PAUSE, len(acked)
            while time.monotonic() < ends:
                began = time.monotonic()
                with pytest.raises(StoreDown):
                    await store.append([post("lost?")])
                assert time.monotonic() - began < 1.0 + PATIENCE / 5
            assert len(acked) == there
        await recovered(store)
        await intact(store, acked)
    finally:
        await store.close()


async def test_a_full_disk_is_an_outage_until_there_is_room() -> None:
    """Nothing is acked that is not stored, and nothing that was acked is lost, though the server itself may give up."""
    acked: dict[str, int] = {}
    small = {"min_wal_size": "32MB", "max_wal_size": "48MB"}
    with postgres.cluster(disk_mib=160, **small) as mortal:
        store = Store(mortal.url("migrated"), 5.0)
        await store.open()
        try:
            await acked_until(store, acked, 200)
            ballast = mortal.folder / "ballast"
            free = shutil.disk_usage(mortal.folder).free
            ballast.write_bytes(bytes(free - (1 << 20)))
            await asyncio.wait_for(acked_until_down(store, acked), 4 * PATIENCE)
            with pytest.raises(StoreDown):
                await store.append([post("x" * 500, f"no room {n}") for n in range(1000)])
            ballast.unlink()
            if not mortal.lives():
                await asyncio.to_thread(mortal.start)
            await recovered(store)
            await intact(store, acked)
        finally:
            await store.close()


async def test_a_commit_that_the_server_itself_doubts_is_never_acked(mortal: Cluster) -> None:
    """It gives up waiting for a standby and only warns; the client sends again, and gets the same offset."""
    async with opened(mortal.url("migrated")) as store:
        mortal.execute("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
        mortal.execute("SELECT pg_reload_conf()")
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'portcullis'"
        task = asyncio.create_task(store.append([post("perhaps", "a")]))
        found = await asyncio.to_thread(until, lambda: mortal.execute(waiting), "the commit waits")
        mortal.execute(f"SELECT pg_cancel_backend({found[0][0]})")
        with pytest.raises(StoreDown, match="synchronous replication"):
            await task
        mortal.execute("ALTER SYSTEM RESET synchronous_standby_names")
        mortal.execute("SELECT pg_reload_conf()")
        (again,) = await passes(store, [post("perhaps", "a")])
        assert (again.repeated, again.event.offset) == (True, 1)


async def test_another_epoch_waits_for_no_standby(mortal: Cluster) -> None:
    """A server that was promoted by itself has none, and clients of it have to learn what they may have lost."""
    async with opened(mortal.url("migrated")) as store:
        before = await store.room(DEFAULT_ROOM)
        mortal.execute("ALTER SYSTEM SET synchronous_standby_names = 'ghost'")
        mortal.execute("SELECT pg_reload_conf()")
        shown = "SHOW synchronous_standby_names"
        await asyncio.to_thread(until, lambda: mortal.execute(shown)[0][0] == "ghost", "the server waits for one")
        await asyncio.wait_for(store.renew(), PATIENCE)
        mortal.execute("ALTER SYSTEM RESET synchronous_standby_names")
        mortal.execute("SELECT pg_reload_conf()")
        after = await store.room(DEFAULT_ROOM)
        assert before and after and before.epoch != after.epoch
