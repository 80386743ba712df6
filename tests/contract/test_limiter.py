"""The limiter, the same in one process, on Redis and on Valkey: what is let through, and what has to wait."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.limiter import Charge, Limit, Limiter, Rate, Throttle, gcra
from app.limiter_memory import MemoryLimiter
from app.limiter_redis import RedisLimiter
from tests.contract.servers import KINDS, Server, linked, running

STRIKES = Rate(3 / 60, 3)
SLOW = Rate(1.0, 2.0)
FRESH = itertools.count()
MARGIN = 0.002
"""Seconds that clocks of two processes may part within a test."""


@pytest.fixture(scope="module", params=["memory", *KINDS])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    """A server that runs for all tests here, or none for the limiter of one process."""
    if request.param == "memory":
        yield None
        return
    with running(request.param) as server:
        yield server


@asynccontextmanager
async def opened(server: Server | None) -> AsyncIterator[Limiter]:
    """An empty limiter: cool-downs of 30, 60, then at most 100 seconds."""
    if server is None:
        yield MemoryLimiter(STRIKES, 30.0, 100.0)
        return
    async with linked(server.where) as link:
        yield RedisLimiter(link, f"{{t{next(FRESH)}}}", STRIKES, 30.0, 100.0, lambda: 1, bool)


@pytest.fixture
async def limiter(server: Server | None) -> AsyncIterator[Limiter]:
    """For one test."""
    async with opened(server) as limiter:
        yield limiter


def post(key: str = "ann", cost: float = 1.0, rate: Rate = SLOW) -> Charge:
    """A post of a user."""
    return Charge(Limit.POSTS_PER_USER, key, rate, cost)


async def test_a_limit_throttles_one_key_and_no_other(limiter: Limiter) -> None:
    """The same name under another limit is another key; whoever waits as long as told passes."""
    assert [await limiter.hit([post()]) for _ in range(2)] == [None, None]
    throttle = await limiter.hit([post()])
    assert throttle is not None
    assert throttle.limit is Limit.POSTS_PER_USER
    assert 0.5 < throttle.retry_after <= 1.0
    assert await limiter.hit([post("bob")]) is None
    assert await limiter.hit([Charge(Limit.POSTS_PER_ROOM, "ann", SLOW)]) is None
    await asyncio.sleep(throttle.retry_after + MARGIN)
    assert await limiter.hit([post()]) is None


async def test_charges_are_taken_all_or_none(limiter: Limiter) -> None:
    """A post that the room refuses costs the user nothing."""
    room = Charge(Limit.POSTS_PER_ROOM, "lobby", SLOW, 2.0)
    assert await limiter.hit([post(), room]) is None
    refused = await limiter.hit([post(), room])
    assert refused is not None
    assert refused.limit is Limit.POSTS_PER_ROOM
    assert 1.5 < refused.retry_after <= 2.0
    assert await limiter.hit([post()]) is None
    assert await limiter.hit([]) is await limiter.test([]) is None


@pytest.mark.parametrize("turn", [1, -1])
async def test_the_longest_wait_is_the_answer(limiter: Limiter, turn: int) -> None:
    """In whatever order they are charged."""
    charges = [post(), Charge(Limit.BYTES_PER_USER, "ann", Rate(1.0, 10.0), 10.0)][::turn]
    assert await limiter.hit(charges) is None
    assert await limiter.hit([post()]) is None
    throttle = await limiter.hit(charges)
    assert throttle is not None
    assert throttle.limit is Limit.BYTES_PER_USER
    assert 9.0 < throttle.retry_after <= 10.0


async def test_testing_says_what_hitting_would_and_charges_nothing(limiter: Limiter) -> None:
    """As often as one likes."""
    assert [await limiter.test([post(cost=2.0)]) for _ in range(5)] == [None] * 5
    assert await limiter.hit([post(cost=2.0)]) is None
    tested, hit = await limiter.test([post()]), await limiter.hit([post()])
    assert tested is not None
    assert hit is not None
    assert tested.retry_after >= hit.retry_after > tested.retry_after - 0.5


async def test_what_exceeds_the_burst_never_fits(limiter: Limiter) -> None:
    """Not even into an empty bucket; and it charges nothing."""
    assert await limiter.hit([post(cost=2.1)]) is not None
    assert await limiter.hit([post(cost=2.0)]) is None


@pytest.mark.parametrize("rate", [Rate(10.0, 150.0), Rate(1 / 3, 7.0), Rate(0.5, 10.0)])
async def test_a_whole_burst_at_once_passes_and_not_one_more(limiter: Limiter, rate: Rate) -> None:
    """However it is rounded, and however many ask at the same time."""
    hits = [limiter.hit([post(rate=rate)]) for _ in range(2 * int(rate.burst))]
    began = time.monotonic()
    answers = await asyncio.gather(*hits)
    refilled = (time.monotonic() - began + MARGIN) * rate.per_second
    assert rate.burst <= answers.count(None) <= rate.burst + refilled


async def test_the_strike_beyond_the_tolerance_starts_a_cooldown(limiter: Limiter) -> None:
    """It counts down by itself, and is the user's alone."""
    assert await limiter.cooldown("ann") == 0.0
    assert [await limiter.strike("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 30.0]
    assert 29.0 < await limiter.cooldown("ann") <= 30.0
    assert await limiter.cooldown("bob") == 0.0


async def test_cooldowns_double_up_to_the_longest(limiter: Limiter) -> None:
    """Strikes are counted anew after each."""
    lasted = [await limiter.strike("ann") for _ in range(16)]
    assert [seconds for seconds in lasted if seconds] == [30.0, 60.0, 100.0, 100.0]
    assert lasted[::4] == [0.0] * 4


async def test_who_cools_down_is_listed_until_it_is_over_or_lifted(limiter: Limiter) -> None:
    """The longest wait first. Who is let off starts afresh: strikes and earlier cool-downs are forgotten."""
    assert await limiter.cooldowns() == []
    assert not await limiter.lift("ann")
    for user, times in (("ann", 7), ("bob", 8), ("cid", 3)):
        for _ in range(times):
            await limiter.strike(user)
    found = await limiter.cooldowns()
    assert [user for user, _ in found] == ["bob", "ann"]
    assert [seconds for _, seconds in found] == [pytest.approx(60.0, abs=1.0), pytest.approx(30.0, abs=1.0)]
    assert [await limiter.lift(user) for user in ("ann", "ann", "cid")] == [True, False, False]
    assert await limiter.cooldown("ann") == 0.0
    assert [user for user, _ in await limiter.cooldowns()] == ["bob"]
    assert [await limiter.strike("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 30.0]


Steps = list[tuple[list[tuple[int, int]], bool, int]]
"""Charges as (key, cost), whether they are taken, and milliseconds to wait before."""
RATES = (Rate(200.0, 4.0), Rate(50.0, 2.0), Rate(333.0, 7.0))
STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=3, unique_by=lambda one: one[0]),
        st.booleans(),
        st.sampled_from([0, 0, 0, 1, 5, 20]),
    ),
    max_size=25,
)


class Bounds:
    """What the pure function says when it is only known between which moments the limiter read its clock."""

    def __init__(self) -> None:
        self._least = dict.fromkeys(range(3), 0.0)
        self._most = dict.fromkeys(range(3), 0.0)

    def check(self, charges: list[tuple[int, int]], took: bool, answer: Throttle | None, span: list[float]) -> None:
        """The answer is one that the function gives for a moment within `span`; if so, what was taken is noted."""
        first, last = span[0] - MARGIN, span[1] + MARGIN
        longest = max(gcra(self._most[key], first, RATES[key], cost)[1] for key, cost in charges)
        shortest = max(gcra(self._least[key], last, RATES[key], cost)[1] for key, cost in charges)
        if answer is None:
            assert shortest <= MARGIN
        else:
            assert shortest - MARGIN <= answer.retry_after <= longest + MARGIN
        if answer is None and took:
            for key, cost in charges:
                self._least[key] = gcra(self._least[key], first, RATES[key], cost)[0]
                self._most[key] = gcra(self._most[key], last, RATES[key], cost)[0]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_every_sequence_is_judged_as_the_pure_function_judges_it(server: Server | None, steps: Steps) -> None:
    """Hits and tests of several charges at any pace, as exactly as clocks can be compared."""
    bounds = Bounds()
    async with opened(server) as limiter:
        for charges, take, pause in steps:
            if pause:
                await asyncio.sleep(pause / 1000)
            words = [Charge(Limit.POSTS_PER_USER, str(key), RATES[key], cost) for key, cost in charges]
            began = time.monotonic()
            answer = await (limiter.hit(words) if take else limiter.test(words))
            bounds.check(charges, take, answer, [began, time.monotonic()])
