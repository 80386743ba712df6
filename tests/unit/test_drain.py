"""Going away: announced to those who understand it, paced, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.batch import Batch
from app.broker_memory import MemoryBroker
from app.connection import Connection
from app.drain import Drain
from app.hub import Hub
from app.limiter import Rate
from app.metrics import Metrics
from app.protocol import Profile
from app.store import Store
from tests.unit.live import PaperWire, connection


@pytest.fixture
async def hub() -> Hub:
    return Hub(Metrics(), Rate(1.0, 1))


@pytest.fixture
async def drain(hub: Hub, tmp_path: Path) -> AsyncIterator[Drain]:
    url = f"sqlite:///{tmp_path}/chat.db"
    Store.migrate(url)
    store, metrics = Store(url, 5.0), Metrics()
    await store.open()
    yield Drain(hub, Batch(store, MemoryBroker().publish, metrics, 10, 10), metrics, 1.0)
    await store.close()


class Leaving(PaperWire):
    """Leaves the hub when it is closed, as a real connection's task does."""

    def __init__(self, hub: Hub, member: Connection) -> None:
        super().__init__()
        self.at = 0.0
        self._hub, self._member = hub, member

    def close(self, code: int, reason: str) -> None:
        super().close(code, reason)
        self.at = time.monotonic()
        self._hub.remove(self._member)


def enter(hub: Hub, profile: Profile = Profile.CHAT_V1) -> Leaving:
    """A connection that is in the hub until it is closed."""
    member, _ = connection(profile=profile)
    leaving = Leaving(hub, member)
    member._wire = leaving
    hub.add(member)
    return leaving


async def test_with_nobody_here_it_is_over_at_once(drain: Drain) -> None:
    """From its first moment on no handshake is let in."""
    assert not drain.begun
    async with asyncio.timeout(0.5):
        await drain.run()
    assert drain.begun


async def test_hints_are_spread_and_the_tutorial_hears_none(hub: Hub, drain: Drain) -> None:
    """Between 0.2 and one second; the tutorial's client knows no such frame."""
    wires = [enter(hub) for _ in range(10)]
    plain = enter(hub, Profile.TUTORIAL)
    await drain.run()
    hints = [frame["retry_after"] for wire in wires for frame in wire.take()]
    assert len(set(hints)) > 5
    assert all(0.2 <= hint <= 1.0 for hint in hints)
    assert plain.take() == []
    assert [wire.closed for wire in (*wires, plain)] == [[(1012, "restart")]] * 11


async def test_closes_are_paced_over_the_drain(hub: Hub, drain: Drain) -> None:
    """A hundred in one second: never more than a third within a fifth of it, all within the time."""
    wires = [enter(hub) for _ in range(100)]
    began = time.monotonic()
    await drain.run()
    took = [wire.at - began for wire in wires]
    assert max(sum(start <= at < start + 0.2 for at in took) for start in took) < 50
    assert max(took) < 1.0
    assert took == sorted(took)


async def test_a_few_are_closed_one_after_the_other(hub: Hub, drain: Drain) -> None:
    """Three in one second: none with another, and nobody waits for the drain's end."""
    wires = [enter(hub) for _ in range(3)]
    began = time.monotonic()
    await drain.run()
    took = [wire.at - began for wire in wires]
    assert min(later - earlier for earlier, later in itertools.pairwise(took)) > 0.15
    assert max(took) < 0.7


async def test_who_came_in_meanwhile_is_closed_too(hub: Hub, drain: Drain) -> None:
    """It had passed the gates before the drain began."""
    first = enter(hub)
    running = asyncio.create_task(drain.run())
    await asyncio.sleep(0)
    late = enter(hub)
    await running
    assert first.closed == late.closed == [(1012, "restart")]
    assert hub.connections == {}


async def test_a_drain_for_a_while_can_be_lifted(hub: Hub, drain: Drain) -> None:
    """Told again and again that it is wanted, it is one drain; who is still there when it is lifted stays."""
    wires = [enter(hub) for _ in range(4)]
    for _ in range(3):
        drain.turn(away=True)
        await asyncio.sleep(0.1)
    assert drain.begun
    assert 0 < len(hub.connections) < 4
    drain.turn(away=False)
    assert not drain.begun
    left = len(hub.connections)
    await asyncio.sleep(0.5)
    assert len(hub.connections) == left
    assert sum(bool(wire.closed) for wire in wires) == 4 - left


async def test_who_slips_into_a_drained_node_is_sent_away_too(hub: Hub, drain: Drain) -> None:
    """However long after the others it passed the gates."""
    enter(hub)
    drain.turn(away=True)
    await asyncio.sleep(0.3)
    assert not hub.connections
    late = enter(hub)
    drain.turn(away=True)
    await asyncio.sleep(0.3)
    assert late.closed == [(1012, "restart")]


async def test_a_drained_process_that_ends_does_not_come_back(hub: Hub, drain: Drain) -> None:
    """Whatever it is told while it goes."""
    drain.turn(away=True)
    await drain.run()
    drain.turn(away=False)
    assert drain.begun
