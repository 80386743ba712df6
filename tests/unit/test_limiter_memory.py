"""The in-process limiter: all or nothing, cool-downs that double, memory that is given back."""

from __future__ import annotations

import pytest

from app.limiter import Charge, Limit, Rate, Throttle
from app.limiter_memory import MemoryLimiter

SLOW = Rate(1.0, 2.0)


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Starts late enough that every bucket is full."""
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> MemoryLimiter:
    """Three throttles a minute are forgiven; cool-downs of 30, 60, then at most 100 seconds."""
    return MemoryLimiter(Rate(3 / 60, 3), 30.0, 100.0, clock)


def post(key: str = "ann", cost: float = 1.0) -> Charge:
    """A post of a user."""
    return Charge(Limit.POSTS_PER_USER, key, SLOW, cost)


async def test_a_limit_throttles_one_key_and_no_other(limiter: MemoryLimiter, clock: Clock) -> None:
    """The same name under another limit is another key."""
    assert [await limiter.hit([post()]) for _ in range(2)] == [None, None]
    assert await limiter.hit([post()]) == Throttle(Limit.POSTS_PER_USER, 1.0)
    assert await limiter.hit([post("bob")]) is None
    assert await limiter.hit([Charge(Limit.POSTS_PER_ROOM, "ann", SLOW)]) is None
    clock.now += 1.0
    assert await limiter.hit([post()]) is None


async def test_charges_are_taken_all_or_none(limiter: MemoryLimiter) -> None:
    """A post that the room refuses costs the user nothing."""
    room = Charge(Limit.POSTS_PER_ROOM, "lobby", SLOW, 2.0)
    assert await limiter.hit([post(), room]) is None
    assert await limiter.hit([post(), room]) == Throttle(Limit.POSTS_PER_ROOM, 2.0)
    assert await limiter.hit([post()]) is None
    assert await limiter.hit([]) is None


@pytest.mark.parametrize("turn", [1, -1])
async def test_the_longest_wait_is_the_answer(limiter: MemoryLimiter, clock: Clock, turn: int) -> None:
    """In whatever order they are charged; waiting that long makes all of them fit."""
    charges = [post(), Charge(Limit.BYTES_PER_USER, "ann", Rate(1.0, 10.0), 10.0)][::turn]
    assert await limiter.hit(charges) is None
    assert await limiter.hit([post()]) is None
    throttle = await limiter.hit(charges)
    assert throttle == Throttle(Limit.BYTES_PER_USER, 10.0)
    clock.now += throttle.retry_after
    assert await limiter.hit(charges) is None


async def test_testing_says_what_hitting_would_and_charges_nothing(limiter: MemoryLimiter) -> None:
    """As often as one likes."""
    assert [await limiter.test([post(cost=2.0)]) for _ in range(5)] == [None] * 5
    assert await limiter.hit([post(cost=2.0)]) is None
    assert await limiter.test([post()]) == await limiter.hit([post()]) == Throttle(Limit.POSTS_PER_USER, 1.0)


async def test_the_strike_beyond_the_tolerance_starts_a_cooldown(limiter: MemoryLimiter, clock: Clock) -> None:
    """It counts down by itself, and is the user's alone."""
    assert await limiter.cooldown("ann") == 0.0
    assert [await limiter.strike("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 30.0]
    assert await limiter.cooldown("ann") == 30.0
    assert await limiter.cooldown("bob") == 0.0
    clock.now += 29.0
    assert await limiter.cooldown("ann") == 1.0
    clock.now += 2.0
    assert await limiter.cooldown("ann") == 0.0


async def test_slow_strikes_are_forgiven(limiter: MemoryLimiter, clock: Clock) -> None:
    """Three a minute, for ever."""
    for _ in range(50):
        assert await limiter.strike("ann") == 0.0
        clock.now += 20.0


async def cooled(limiter: MemoryLimiter) -> float:
    """Flood until it has a consequence."""
    while not (seconds := await limiter.strike("ann")):
        pass
    return seconds


async def test_cooldowns_double_up_to_the_longest_and_are_forgiven_after_a_day(
    limiter: MemoryLimiter, clock: Clock
) -> None:
    """A day counts from the end of the last one."""
    waits = []
    for _ in range(4):
        waits.append(await cooled(limiter))
        clock.now += waits[-1]
    assert waits == [30.0, 60.0, 100.0, 100.0]
    clock.now += 86_401.0
    assert await cooled(limiter) == 30.0


async def test_memory_is_given_back_once_it_limits_nobody(limiter: MemoryLimiter, clock: Clock) -> None:
    """Many addresses come once: their buckets go, a bucket that still limits stays, cool-downs stay for a day."""
    await cooled(limiter)
    for number in range(9_990):
        await limiter.hit([post(f"old-{number}")])
    await limiter.strike("bob")
    clock.now += 100.0
    assert [await limiter.hit([post("busy")]) for _ in range(2)] == [None, None]
    for number in range(20):
        await limiter.hit([post(f"new-{number}")])
    assert len(limiter._arrivals) < 30
    assert await limiter.hit([post("busy")]) == Throttle(Limit.POSTS_PER_USER, 1.0)
    assert await cooled(limiter) == 60.0
