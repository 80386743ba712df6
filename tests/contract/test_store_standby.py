"""PostgreSQL with a standby that each commit waits for: what was acked is there when it takes over."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from app.store import Store, StoreDown
from tests import postgres
from tests.contract.house import post
from tests.contract.outages import acked_until_down, intact, recovered
from tests.patience import until
from tests.postgres import ROLE, Cluster


@pytest.fixture
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its standby."""
    with postgres.cluster() as primary, postgres.standby(primary) as standby:
        yield primary, standby


def url_of(*clusters: Cluster) -> str:
    """Whichever of them takes writes."""
    hosts = "&".join(f"host=127.0.0.1:{one.port}" for one in clusters)
    return f"postgresql://{ROLE}@/migrated?{hosts}&target_session_attrs=read-write"


async def test_a_promotion_loses_nothing_that_was_acked(pair: tuple[Cluster, Cluster]) -> None:
    """The primary is killed in the middle of writes; nothing is acked until the standby is promoted."""
    primary, standby = pair
    acked: dict[str, int] = {}
    store = Store(url_of(primary, standby), 2.0, password_file=primary.password_file)
    await store.open()
    try:
        writing = asyncio.create_task(acked_until_down(store, acked))
        await asyncio.to_thread(until, lambda: len(acked) >= 200, "posts are acked")
        await asyncio.to_thread(primary.stop, signal.SIGKILL)
        await writing
        there = len(acked)
        with pytest.raises(StoreDown):
            await store.append([post("lost?")])
        assert await asyncio.to_thread(standby.execute, "SELECT pg_promote()") == [(True,)]
        await recovered(store)
        assert len(acked) == there
        await intact(store, acked)
    finally:
        await store.close()


async def test_a_primary_without_its_standby_acks_nothing(pair: tuple[Cluster, Cluster]) -> None:
    """It has written, but a promotion could undo that: the outcome is unknown, and said to be."""
    primary, standby = pair
    store = Store(url_of(primary, standby), 1.0, password_file=primary.password_file)
    await store.open()
    try:
        await store.append([post("kept", "kept")])
        await asyncio.to_thread(standby.stop)
        with pytest.raises(StoreDown):
            await store.append([post("doubtful", "doubtful")])
        await asyncio.to_thread(standby.start)
        await recovered(store)
    finally:
        await store.close()
