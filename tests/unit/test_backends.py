"""The clocks go on whatever fails, and a fault of the store is over only when it can be written again."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from app import backends as module
from app.backends import Backends, opened
from app.lock import StoreLocked
from app.model import UserName
from tests.patience import PATIENCE, until
from tests.unit.live import connection
from tests.unit.party import party


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is short here."""
    monkeypatch.setattr(module, "_TICK", 0.01)


def degraded(backends: Backends) -> bool:
    return backends.metrics.registry.get_sample_value("chat_degraded", {"backend": "store"}) == 1.0


async def eventually(backends: Backends, value: bool) -> None:
    await asyncio.to_thread(until, lambda: degraded(backends) is value, f"degraded is {value}")


async def test_a_store_that_can_only_be_read_is_degraded_until_it_can_be_written(tmp_path: Path) -> None:
    """Without a single post; reads that succeed do not end it."""
    async with party(tmp_path, store_timeout_seconds=0.3) as server:
        with closing(sqlite3.connect(tmp_path / "data" / "chat.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await eventually(server.backends, True)
            await server.backends.store.ping()
            assert server.backends.batch.failed
            other.execute("ROLLBACK")
        await eventually(server.backends, False)
        assert not server.backends.batch.failed


async def test_a_bug_in_one_tick_does_not_stop_the_clock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Expiry goes on after an exception that nobody foresaw."""
    async with party(tmp_path) as server:
        hub = server.backends.hub
        broken, _ = connection(expires_at=None)
        hub.add(broken)
        await asyncio.to_thread(until, lambda: "tick_failed" in caplog.messages, "a tick fails")
        hub.remove(broken)
        member, wire = connection(expires_at=time.time() - 1)
        hub.add(member)
        await asyncio.to_thread(until, lambda: wire.closed, "it is closed")
        assert wire.closed == [(4001, "credential_expired")]


async def test_sessions_in_use_are_marked_as_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is connected does not become idle; sweeping happens on the way."""
    monkeypatch.setattr(module, "_TOUCH_TICKS", 1)
    monkeypatch.setattr(module, "_SWEEP_TICKS", 1)
    async with party(tmp_path) as server:
        await server.account("ann")
        await server.signed_in("ann")
        store, name = server.backends.store, UserName("ann")
        (session,) = await store.sessions(name)
        member, _ = connection(session=session.id)
        server.backends.hub.add(member)
        seen = session.seen_at
        async with asyncio.timeout(PATIENCE):
            while seen <= session.seen_at:
                (now,) = await store.sessions(name)
                seen = now.seen_at


async def test_two_processes_never_open_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits, and then says who has it."""
    async with party(tmp_path, drain_seconds=0.1, graceful_seconds=0.2) as server:
        monkeypatch.setattr(module, "_LOCK_MARGIN", 0.0)
        with pytest.raises(StoreLocked, match=r"chat\.db\.lock is locked by process"):
            async with opened(module.build(server.backends.settings)):
                pass
