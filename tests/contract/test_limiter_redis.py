"""The shared limiter when its server fails: each process keeps to its share, nobody gains more than a burst."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from app.limiter import Charge, Limit, Rate
from app.limiter_redis import RedisLimiter
from app.redis_link import RedisLink
from app.store import StoreDown
from tests.contract.servers import KINDS, Server, linked, running, until_true

STRIKES = Rate(3 / 60, 3)
PREFIX = "{chat}"


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one test, which may do to it what it likes."""
    with running(request.param) as server:
        yield server


def limiter_on(link: RedisLink, processes: int = 1) -> RedisLimiter:
    """One process's limiter."""
    return RedisLimiter(link, PREFIX, STRIKES, 30.0, 100.0, lambda: processes, bool)


def post(rate: Rate, cost: float = 1.0) -> Charge:
    """A post of a user."""
    return Charge(Limit.POSTS_PER_USER, "ann", rate, cost)


async def passed(limiter: RedisLimiter, charge: Charge, times: int) -> int:
    """How many of so many hits at once pass."""
    return (await asyncio.gather(*(limiter.hit([charge]) for _ in range(times)))).count(None)


@pytest.mark.parametrize(("burst", "processes", "share"), [(20.0, 4, 5), (5.0, 4, 1), (5.0, 16, 1), (5.0, 1, 5)])
async def test_without_the_server_each_process_keeps_to_its_share(
    server: Server, burst: float, processes: int, share: int
) -> None:
    """The burst divided by the processes, rounded down, at least one; the rate divided exactly."""
    async with linked(server.where) as link:
        limiter = limiter_on(link, processes)
        server.kill()
        assert await passed(limiter, post(Rate(0.01, burst)), 30) == share
        throttle = await limiter.test([post(Rate(0.01, burst))])
        assert throttle is not None
        assert throttle.retry_after == pytest.approx(100.0 * processes, rel=0.01)


async def test_what_fits_a_full_bucket_fits_a_full_share(server: Server) -> None:
    """A frame larger than the share of the bytes would never pass otherwise; one beyond the limit does not."""
    async with linked(server.where) as link:
        limiter = limiter_on(link, 8)
        server.kill()
        bytes_ = Rate(1.0, 64_000.0)
        assert await limiter.hit([post(bytes_, 64_001.0)]) is not None
        assert await limiter.hit([post(bytes_, 16_000.0)]) is None
        assert await limiter.hit([post(bytes_, 1.0)]) is not None


async def flood(limiters: list[RedisLimiter], charge: Charge, ends: Callable[[], bool]) -> int:
    """What passes of hits on all of them, as fast as they are answered."""
    count = 0
    while not ends():
        count += sum([await passed(limiter, charge, 2) for limiter in limiters])
        await asyncio.sleep(0.002)
    return count


@pytest.mark.parametrize("emptied", [True, False])
async def test_a_whole_outage_is_worth_at_most_one_burst(server: Server, emptied: bool) -> None:
    """One user floods two processes before, during and after; the server comes back empty, or as it was."""
    charge, began = post(Rate(20.0, 10.0)), time.monotonic()

    def seconds(span: float) -> Callable[[], bool]:
        ends = time.monotonic() + span
        return lambda: time.monotonic() > ends

    async with linked(server.within(0.2)) as one, linked(server.within(0.2)) as two:
        limiters = [limiter_on(link, 2) for link in (one, two)]
        count = await flood(limiters, charge, seconds(0.4))
        (server.kill if emptied else server.pause)()
        count += await flood(limiters, charge, lambda: not one.up and not two.up)
        count += await flood(limiters, charge, seconds(0.6))
        (server.start if emptied else server.resume)()
        count += await flood(limiters, charge, lambda: one.up and two.up)
        count += await flood(limiters, charge, seconds(1.0))
        took = time.monotonic() - began
    assert count <= 2 * charge.rate.burst + charge.rate.per_second * took + 1
    assert count >= 0.5 * charge.rate.per_second * took


async def test_what_passed_during_an_outage_counts_after_it(server: Server) -> None:
    """The empty server is told of it: only the rest of the burst is left."""
    charge = post(Rate(0.01, 10.0))
    async with linked(server.where) as link:
        limiter = limiter_on(link, 2)
        server.kill()
        assert await passed(limiter, charge, 30) == 5
        server.start()
        await until_true(lambda: link.up, "the link is there again")
        await until_true(lambda: server.ask("EXISTS", f"{PREFIX}:limit:posts_per_user:ann") == ":1\r\n", "carried over")
        assert await passed(limiter, charge, 30) == 5


async def test_a_cooldown_of_an_outage_is_everybodys_after_it(server: Server) -> None:
    """Strikes count in full. The server that is back is told, so that all processes obey, and one may lift it."""
    async with linked(server.where) as link, linked(server.where) as there:
        limiter, other = limiter_on(link, 4), limiter_on(there, 4)
        server.kill()
        assert [await limiter.strike("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 30.0]
        for ask in (limiter.cooldowns(), limiter.lift("ann")):
            with pytest.raises(StoreDown):
                await ask
        assert 25.0 < await limiter.cooldown("ann") <= 30.0
        server.start()
        await until_true(lambda: link.up and there.up, "the links are there again")
        await until_true(lambda: server.ask("EXISTS", f"{PREFIX}:cooldown:ann") == ":1\r\n", "it was told")
        assert 25.0 < await other.cooldown("ann") <= 30.0
        assert [user for user, _ in await other.cooldowns()] == ["ann"]
        assert await other.lift("ann")
        assert await limiter.cooldown("ann") == await limiter.cooldown("bob") == 0.0


async def test_an_outage_makes_no_cooldown_shorter(server: Server) -> None:
    """Where one that began before lasts longer, it goes on."""
    async with linked(server.where) as link:
        limiter = limiter_on(link)
        for _ in range(8):
            await limiter.strike("ann")
        await limiter._local.strike("bob")
        for _ in range(4):
            await limiter._local.strike("ann")
        await limiter._carry([])
        assert await limiter.cooldown("ann") == pytest.approx(60.0, abs=1.0)
        assert await limiter._local.cooldowns() == []


async def test_two_processes_share_one_bucket(server: Server) -> None:
    """Neither has a burst of its own."""
    async with linked(server.where) as one, linked(server.where) as two:
        answers = await asyncio.gather(*(passed(limiter_on(link), post(Rate(0.01, 20.0)), 30) for link in (one, two)))
        assert sum(answers) == 20


async def test_everything_that_it_keeps_ends_by_itself(server: Server) -> None:
    """Buckets when they are full again; cool-downs a day after their end, when they are forgiven."""
    async with linked(server.where) as link:
        limiter = limiter_on(link)
        assert await limiter.hit([post(Rate(0.5, 10.0), 3.0)]) is None
        for _ in range(5):
            await limiter.strike("ann")
        left = {key.decode(): await link.call("PTTL", key) / 1000 for key in await link.call("KEYS", "*")}
    assert left == {
        f"{PREFIX}:limit:posts_per_user:ann": pytest.approx(6.0, abs=5.0),
        f"{PREFIX}:strikes:ann": pytest.approx(20.0, abs=5.0),
        f"{PREFIX}:cooldown:ann": pytest.approx(86_430.0, abs=5.0),
        f"{PREFIX}:cooldowns": pytest.approx(100.0, abs=5.0),
    }
