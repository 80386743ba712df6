"""The shared broker when the way is cut: nothing raises, this process hears itself, and every loss ends in a resync."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from app.broker_redis import RedisBroker
from app.model import DEFAULT_ROOM, Event, Offset, Revocation, RevocationKind, UserName
from tests.contract.ears import Ears
from tests.contract.servers import KINDS, Server, linked, running, until_true

ANN = UserName("ann")
REVOKED = Revocation(RevocationKind.USER, "ann", "account_banned")
PREFIX = "{chat}"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one test, which may do to it what it likes."""
    with running(request.param) as server:
        yield server


def event(offset: int) -> Event:
    """A message."""
    return Event(DEFAULT_ROOM, Offset(offset), ANN, "hi", 1.0)


@asynccontextmanager
async def opened(server: Server, name: str, ears: Ears) -> AsyncIterator[RedisBroker]:
    """One process's broker, impatient and subscribed."""
    where = server.within(0.5)
    async with linked(where) as link:
        broker = ears.on(RedisBroker(link, where, PREFIX, name, ears.heard()))
        await broker.open()
        try:
            await until_true(lambda: ears.resyncs, "subscribed")
            yield broker
        finally:
            await broker.close()


@pytest.fixture
async def pair(server: Server) -> AsyncIterator[tuple[RedisBroker, Ears, RedisBroker, Ears]]:
    """Two processes."""
    here, there = Ears(), Ears()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(opened(server, "one", here))
        two = await stack.enter_async_context(opened(server, "two", there))
        yield one, here, two, there


Pair = tuple[RedisBroker, Ears, RedisBroker, Ears]


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_an_outage_is_noticed_survived_and_ends_in_a_resync(server: Server, pair: Pair, how: str) -> None:
    """Publishing goes on for this process; what it could not send is counted, and the others repair when it is over."""
    one, here, _, there = pair
    (server.kill if how == "kill" else server.pause)()
    for number in range(1, 4):
        await one.publish([event(number)])
        await one.revoke(REVOKED)
    assert here.events == [event(1), event(2), event(3)]
    await until_true(lambda: here.degraded[-1] and there.degraded[-1], "both know that they are cut off")
    await until_true(lambda: len(here.failed) >= 6, "each loss is counted")
    before = there.resyncs
    (server.start if how == "kill" else server.resume)()
    await until_true(lambda: there.resyncs > before and not there.degraded[-1], "the other one repairs")
    heard = len(here.lags)
    await until_true(lambda: len(here.lags) > heard, "this one's way is open, too")
    await one.publish([event(4)])
    await until_true(lambda: event(4) in there.events, "it goes on")
    assert set(here.failed) == {"publish"}


async def test_what_could_not_be_sent_is_told_with_the_next_message(server: Server, pair: Pair) -> None:
    """The subscriptions held, only one process's commands were cut off: the others repair within a second or so."""
    one, here, _, there = pair
    ids = [line for line in server.ask("CLIENT", "LIST").splitlines() if " sub=0 " in line and "cmd=client" not in line]
    before = there.resyncs
    for line in ids:
        server.ask("CLIENT", "KILL", "ID", line.partition("id=")[2].partition(" ")[0])
    await one.publish([event(1)])
    await until_true(lambda: here.failed, "it was not sent")
    await until_true(lambda: there.resyncs > before, "the other one repairs")
    assert there.events == []
    assert not there.degraded[-1]


async def test_a_subscription_that_is_cut_is_made_anew(server: Server, pair: Pair) -> None:
    """Its messages meanwhile are lost, so it repairs."""
    one, here, _, there = pair
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await until_true(lambda: here.resyncs > 1 and there.resyncs > 1, "both have subscribed again")
    assert there.degraded[-2:] == [True, False]
    await one.publish([event(1)])
    await until_true(lambda: there.events, "it goes on")


@pytest.mark.parametrize(
    "data",
    [
        "",
        "garbage",
        "other 1.0 ",
        "other 1.0 {",
        "other 1.0 []",
        'other 1.0 {"events": [{"room": "lobby"}]}',
        'other 1.0 {"events": [{"room": "lobby", "offset": "x", "sender": "ann", "message": "", "timestamp": 1}]}',
        'other 1.0 {"revocations": [{"kind": "everybody", "value": "", "reason": ""}]}',
    ],
)
async def test_what_means_nothing_is_counted_and_dropped(server: Server, pair: Pair, data: str) -> None:
    """And the next message is heard."""
    one, here, _, there = pair
    server.ask("PUBLISH", f"{PREFIX}:events", data)
    await until_true(lambda: there.failed == here.failed == ["receive"], "both have counted it")
    await one.publish([event(1)])
    await until_true(lambda: there.events, "it goes on")
    assert there.calls == [("events", event(1))]


async def test_revocations_count_on_their_own_channel_only(server: Server, pair: Pair) -> None:
    """And events on theirs: who may publish in one of them has no say in the other."""
    _, _, _, there = pair
    content = '{"revocations": [{"kind": "user", "value": "ann", "reason": "account_banned"}], '
    content += '"events": [{"room": "lobby", "offset": 1, "sender": "ann", "message": "hi", "timestamp": 1}]}'
    for channel in ("events", "control"):
        server.ask("PUBLISH", f"{PREFIX}:{channel}", f"other 1.0 {content}")
    await until_true(lambda: len(there.calls) >= 2, "both have arrived")
    assert there.calls == [("events", event(1)), ("revocation", REVOKED)]


async def test_a_receiver_that_fails_is_called_again(pair: Pair) -> None:
    """Whatever it missed is repaired."""
    one, _, two, there = pair

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    two.subscribe(fail, there.revocation, there.notice, there.typing)
    before = there.resyncs
    await one.publish([event(1)])
    await until_true(lambda: there.resyncs > before, "it repairs")
    assert there.failed == ["receive"]
    await one.revoke(REVOKED)
    await until_true(lambda: there.calls == [("revocation", REVOKED)], "it goes on")


async def test_the_lag_is_measured_even_when_nothing_happens(pair: Pair) -> None:
    """By each process for its own messages, so that clocks of hosts need not agree."""
    _, here, _, there = pair
    await until_true(lambda: here.lags and there.lags, "both have measured")
    assert all(0.0 <= lag < 5.0 for lag in here.lags + there.lags)


async def test_publishing_waits_for_nobody(server: Server, pair: Pair) -> None:
    """A server that stands still holds up no batch."""
    one, here, _, _ = pair
    server.pause()
    began = time.monotonic()
    await asyncio.gather(*(one.publish([event(number)]) for number in range(1, 101)))
    assert time.monotonic() - began < 0.4
    assert len(here.events) == 100
    server.resume()
