"""The broker, the same in one process, on Redis and on Valkey: everything reaches everybody, this process at once."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from app.broker import Broker
from app.broker_memory import MemoryBroker
from app.broker_redis import RedisBroker
from app.model import DEFAULT_ROOM, Event, EventKind, Offset, Revocation, RevocationKind, RoomId, UserName
from tests.contract.ears import Ears
from tests.contract.servers import KINDS, Server, linked, running, until_true

ANN, BOB = UserName("ann"), UserName("bob")
DEN = RoomId("den-1a2b3c")
FRESH = itertools.count()
EVENTS = [
    Event(DEFAULT_ROOM, Offset(1), ANN, "grüezi \u2028 \0 😀", 1700000000.123456),
    Event(DEN, Offset(7), ANN, "", 2.5, EventKind.MEMBER, {"change": "banned", "user": "bob", "until": 9.25}),
    Event(DEFAULT_ROOM, Offset(2), BOB, "later", 3.0, EventKind.EDITED, {"target": 1}),
]
REVOKED = Revocation(RevocationKind.ADDRESS, "2001:db8::/64", "ip_banned")


@pytest.fixture(scope="module", params=["memory", *KINDS])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    """A server that runs for all tests here, or none for the broker of one process."""
    if request.param == "memory":
        yield None
        return
    with running(request.param) as server:
        yield server


@pytest.fixture
async def brokers(server: Server | None) -> AsyncIterator[list[tuple[Broker, Ears]]]:
    """Three processes that are connected with each other, or the one that there is."""
    async with AsyncExitStack() as stack:
        if server is None:
            ears = Ears()
            yield [(ears.on(MemoryBroker()), ears)]
            return
        prefix = f"{{t{next(FRESH)}}}"
        found: list[tuple[Broker, Ears]] = []
        for number in range(3):
            link, ears = await stack.enter_async_context(linked(server.where)), Ears()
            broker = ears.on(RedisBroker(link, server.where, prefix, f"process-{number}", ears.heard()))
            await broker.open()
            stack.push_async_callback(broker.close)
            found.append((broker, ears))
        for _, ears in found:
            await until_true(lambda ears=ears: ears.resyncs, "subscribed")  # type: ignore[misc]
        yield found


async def test_everything_reaches_everybody_unchanged_and_in_order(brokers: list[tuple[Broker, Ears]]) -> None:
    """One callback call for each batch, control message and notice; to this process before the call returns."""
    broker, own = brokers[0]
    await broker.publish(EVENTS)
    await broker.notify(DEN, [ANN], [BOB])
    await broker.typing(DEN, [BOB, ANN])
    await broker.revoke(REVOKED)
    expected = [
        ("events", *EVENTS),
        ("notice", DEN, ANN, "|", BOB),
        ("typing", DEN, BOB, ANN),
        ("revocation", REVOKED),
    ]
    assert own.calls == expected
    for _, ears in brokers:
        await until_true(lambda ears=ears: len(ears.calls) >= 4, "all arrived")  # type: ignore[misc]
        assert ears.calls == expected
        assert ears.failed == []


async def test_nothing_comes_twice_and_each_sender_is_heard_in_its_order(brokers: list[tuple[Broker, Ears]]) -> None:
    """Many batches from all at once."""
    for number in range(1, 101):
        for index, (broker, _) in enumerate(brokers):
            await broker.publish([Event(RoomId(f"room-{index}"), Offset(number), ANN, "x" * 400, 1.0)])
    for _, ears in brokers:
        await until_true(lambda ears=ears: len(ears.calls) >= 100 * len(brokers), "all arrived")  # type: ignore[misc]
        for index in range(len(brokers)):
            offsets = [event.offset for event in ears.events if event.room == f"room-{index}"]
            assert offsets == list(range(1, 101))


async def test_an_empty_batch_is_nothing(brokers: list[tuple[Broker, Ears]]) -> None:
    """Nobody is called for it."""
    await brokers[0][0].publish([])
    await brokers[0][0].typing(DEN, [ANN])
    assert [call for call in brokers[0][1].calls if call != ("events",)] == [("typing", DEN, ANN)]
