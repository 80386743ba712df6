"""The limiter of one process: a dictionary of arrival times, swept as it grows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from app.limiter import LISTED, Charge, Cooldown, Rate, Throttle, gcra

_SWEEP_AT_LEAST = 10_000
_FORGIVEN_AFTER = 86_400.0


class MemoryLimiter:
    """Implements `app.limiter.Limiter`. Memory: one float a key that was charged within its tolerance."""

    def __init__(
        self,
        throttles: Rate,
        cooldown_seconds: float,
        cooldown_max_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._throttles = throttles
        self._first = cooldown_seconds
        self._longest = cooldown_max_seconds
        self._clock = clock
        self._arrivals: dict[tuple[str, str], float] = {}
        self._strikes: dict[str, float] = {}
        self._cooldowns: dict[str, tuple[float, int]] = {}
        self._sweep_at = _SWEEP_AT_LEAST

    async def hit(self, charges: Sequence[Charge]) -> Throttle | None:
        """See `Limiter.hit`. Atomic because nothing here awaits."""
        now = self._clock()
        arrivals, throttle = self._weigh(charges, now)
        if throttle is None:
            for charge, arrival in zip(charges, arrivals, strict=True):
                self._arrivals[charge.limit, charge.key] = arrival
            if len(self._arrivals) > self._sweep_at:
                self._sweep(now)
        return throttle

    async def test(self, charges: Sequence[Charge]) -> Throttle | None:
        """See `Limiter.test`."""
        return self._weigh(charges, self._clock())[1]

    async def strike(self, user: str) -> float:
        """See `Limiter.strike`: each cool-down within a day doubles the next."""
        now = self._clock()
        arrival, wait = gcra(self._strikes.get(user, 0.0), now, self._throttles, 1.0)
        if wait <= 0.0:
            self._strikes[user] = arrival
            return 0.0
        self._strikes.pop(user, None)
        ended, times = self._cooldowns.get(user, (0.0, 0))
        if now - ended > _FORGIVEN_AFTER:
            times = 0
        seconds = min(self._first * 2.0**times, self._longest)
        self._cooldowns[user] = (now + seconds, times + 1)
        return seconds

    async def cooldown(self, user: str) -> float:
        """See `Limiter.cooldown`."""
        return max(0.0, self._cooldowns.get(user, (0.0, 0))[0] - self._clock())

    async def cooldowns(self) -> list[Cooldown]:
        """See `Limiter.cooldowns`."""
        now = self._clock()
        cooling = [Cooldown(user, ends - now) for user, (ends, _) in self._cooldowns.items() if ends > now]
        return sorted(cooling, key=lambda one: one.seconds, reverse=True)[:LISTED]

    async def lift(self, user: str) -> bool:
        """See `Limiter.lift`."""
        if not await self.cooldown(user):
            return False
        self._strikes.pop(user, None)
        del self._cooldowns[user]
        return True

    def ahead(self) -> dict[tuple[str, str], float]:
        """Seconds by which the arrival times of (limit, key) run ahead of the clock, for those that do."""
        now = self._clock()
        return {key: arrival - now for key, arrival in self._arrivals.items() if arrival > now}

    def _weigh(self, charges: Sequence[Charge], now: float) -> tuple[list[float], Throttle | None]:
        arrivals: list[float] = []
        throttle: Throttle | None = None
        for charge in charges:
            before = self._arrivals.get((charge.limit, charge.key), 0.0)
            arrival, wait = gcra(before, now, charge.rate, charge.cost)
            arrivals.append(arrival)
            if wait > 0.0 and (throttle is None or wait > throttle.retry_after):
                throttle = Throttle(charge.limit, wait)
        return arrivals, throttle

    def _sweep(self, now: float) -> None:
        """Drop what no longer limits anybody; the next sweep waits until the rest has doubled."""
        self._arrivals = {key: arrival for key, arrival in self._arrivals.items() if arrival > now}
        self._strikes = {user: arrival for user, arrival in self._strikes.items() if arrival > now}
        self._cooldowns = {user: state for user, state in self._cooldowns.items() if now - state[0] <= _FORGIVEN_AFTER}
        self._sweep_at = max(_SWEEP_AT_LEAST, 2 * len(self._arrivals))
