"""The limiter that all processes share: GCRA in Redis, one script a hit. Without it, each process keeps to its share.

A bucket is `<microseconds> <ahead>`: when it was last charged, by the server's clock, and by how many seconds its
arrival time ran ahead then. Differences of small numbers keep the arithmetic as exact as in one process.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from app import request_id
from app.limiter import LISTED, ROUNDING, Charge, Cooldown, Rate, Throttle
from app.limiter_memory import MemoryLimiter
from app.redis_link import RedisLink, Script
from app.redis_pipe import RedisDown, Word

_log = logging.getLogger("portcullis.limiter")

_FORGIVEN_AFTER: Final = 86_400
_HAIR: Final = 1e-6
"""On top of a share, so that rounding refuses nothing that exactly fits."""
_CARRIED: Final = 500
"""Buckets in one script, so that none holds up the server for long."""

_BUCKETS: Final = (
    f"local ROUNDING = {ROUNDING}"
    + """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Seconds by which a bucket is ahead of the clock. A clock that was set back forgives, as one set forward does.
local function ahead(value)
    if not value then return 0 end
    local charged, seconds = string.match(value, '(%S+) (%S+)')
    return math.max(0, seconds - math.abs(now - charged) / 1000000)
end

-- Kept for as long as it limits anybody.
local function keep(key, seconds)
    if seconds > 0 then
        redis.call('SET', key, string.format('%.0f %.17g', now, seconds), 'PX', math.ceil(seconds * 1000))
    end
end
"""
)
_HIT: Final = Script.of(
    _BUCKETS,
    """
-- KEYS: the buckets. ARGV: 1 to charge or 0 to test, then for each the cost and the tolerance in seconds.
local values, charged = redis.call('MGET', unpack(KEYS)), {}
local longest, which = ROUNDING, 0
for i = 1, #KEYS do
    -- As `app.limiter.gcra` does it.
    charged[i] = math.min(ahead(values[i]), ARGV[2 * i + 1] + ROUNDING) + ARGV[2 * i]
    local wait = charged[i] - ARGV[2 * i + 1]
    if wait > longest then longest, which = wait, i end
end
if which > 0 then return {which, string.format('%.17g', longest)} end
if ARGV[1] == '1' then
    for i, key in ipairs(KEYS) do keep(key, charged[i]) end
end
return false
""",
)
_CARRY: Final = Script.of(
    _BUCKETS,
    """
-- KEYS: the buckets. ARGV: seconds to add to each, whether they fit or not.
for i, key in ipairs(KEYS) do keep(key, ahead(redis.call('GET', key)) + ARGV[i]) end
""",
)
_COOL: Final = """
-- KEYS: cool-down, all cool-downs. ARGV[1..3]: user, longest cool-down, forgiven after; times are in seconds.
local ended, times = string.match(redis.call('GET', KEYS[1]) or '0 0', '(%S+) (%S+)')

local function cool(seconds, times)
    local ends = string.format('%.0f', now + seconds * 1000000)
    redis.call('SET', KEYS[1], ends .. string.format(' %.0f', times), 'PX', math.ceil((seconds + ARGV[3]) * 1000))
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
    redis.call('ZADD', KEYS[2], ends, ARGV[1])
    redis.call('PEXPIRE', KEYS[2], math.ceil(ARGV[2] * 1000))
end
"""
_STRIKE: Final = Script.of(
    _BUCKETS,
    _COOL,
    """
-- KEYS[3]: strikes. ARGV[4..6]: a strike's cost, tolerance, first cool-down.
local strikes = math.min(ahead(redis.call('GET', KEYS[3])), ARGV[5] + ROUNDING) + ARGV[4]
if strikes - ARGV[5] <= ROUNDING then
    keep(KEYS[3], strikes)
    return '0'
end
redis.call('DEL', KEYS[3])
if now - ended > ARGV[3] * 1000000 then times = 0 end
local seconds = math.min(ARGV[6] * 2 ^ times, ARGV[2])
cool(seconds, times + 1)
return string.format('%.17g', seconds)
""",
)
_COOLDOWN: Final = Script.of(
    _BUCKETS,
    """
-- KEYS: cool-down.
local ended = string.match(redis.call('GET', KEYS[1]) or '0 0', '(%S+) ')
return string.format('%.17g', math.max(0, (ended - now) / 1000000))
""",
)
_SERVE: Final = Script.of(
    _BUCKETS,
    _COOL,
    """
-- ARGV[4]: seconds that are left of a cool-down that began elsewhere.
if now + ARGV[4] * 1000000 > tonumber(ended) then cool(ARGV[4], times + 1) end
""",
)
_COOLING: Final = Script.of(
    _BUCKETS,
    f"local LISTED = {LISTED}"
    + """
-- KEYS: all cool-downs. Returns user, seconds, user, seconds ..., the longest first.
local after = string.format('(%.0f', now)
local found = redis.call('ZRANGE', KEYS[1], '+inf', after, 'BYSCORE', 'REV', 'LIMIT', 0, LISTED, 'WITHSCORES')
for i = 2, #found, 2 do found[i] = string.format('%.17g', (found[i] - now) / 1000000) end
return found
""",
)
_LIFT: Final = Script.of(
    _BUCKETS,
    """
-- KEYS: cool-down, all cool-downs, strikes. ARGV: user.
local ended = string.match(redis.call('GET', KEYS[1]) or '0 0', '(%S+) ')
if tonumber(ended) <= now then return 0 end
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
""",
)


class RedisLimiter:
    """Implements `app.limiter.Limiter`. Never open: when Redis does not answer, a `MemoryLimiter` does.

    What was charged there is added to the buckets in Redis once it answers again, so that a whole outage, from one
    limiter to the other and back, costs at most one burst more than the limit.
    """

    def __init__(
        self,
        link: RedisLink,
        prefix: str,
        throttles: Rate,
        cooldown_seconds: float,
        cooldown_max_seconds: float,
        processes: Callable[[], int],
        observe: Callable[[float], object],
    ) -> None:
        """`processes`: how many share the limits, as last known. `observe` is told the seconds of each answer."""
        self._link = link
        self._prefix = prefix
        self._throttles = throttles
        self._first = cooldown_seconds
        self._bounds = (cooldown_max_seconds, _FORGIVEN_AFTER)
        self._processes = processes
        self._observe = observe
        self._local = MemoryLimiter(throttles, cooldown_seconds, cooldown_max_seconds)
        self._carrying: asyncio.Task[None] | None = None
        link.restored.append(self._restored)

    async def hit(self, charges: Sequence[Charge]) -> Throttle | None:
        """See `Limiter.hit`."""
        try:
            return await self._weigh(charges, 1)
        except RedisDown:
            return await self._local.hit(self._share(charges))

    async def test(self, charges: Sequence[Charge]) -> Throttle | None:
        """See `Limiter.test`."""
        try:
            return await self._weigh(charges, 0)
        except RedisDown:
            return await self._local.test(self._share(charges))

    async def strike(self, user: str) -> float:
        """See `Limiter.strike`: throttles are counted in full, since a share of them would punish sooner."""
        words: list[Word] = [
            user,
            *self._bounds,
            1.0 / self._throttles.per_second,
            self._throttles.tolerance,
            self._first,
        ]
        try:
            return float(await self._link.run(_STRIKE, self._cooling(user), words))
        except RedisDown:
            return await self._local.strike(user)

    async def cooldown(self, user: str) -> float:
        """See `Limiter.cooldown`: one that began while Redis was down is this process's until Redis is back."""
        local = await self._local.cooldown(user)
        try:
            return max(local, float(await self._link.run(_COOLDOWN, self._cooling(user)[:1], ())))
        except RedisDown:
            return local

    async def cooldowns(self) -> list[Cooldown]:
        """See `Limiter.cooldowns`. Raises RedisDown, which is a StoreDown."""
        found = iter(await self._link.run(_COOLING, [f"{self._prefix}:cooldowns"], ()))
        return [Cooldown(user.decode(), float(seconds)) for user, seconds in zip(found, found, strict=True)]

    async def lift(self, user: str) -> bool:
        """See `Limiter.lift`. Raises RedisDown, which is a StoreDown."""
        return bool(await self._link.run(_LIFT, self._cooling(user), [user]))

    def _restored(self) -> None:
        owed = list(self._local.ahead().items())
        self._carrying = asyncio.get_running_loop().create_task(self._carry(owed), context=request_id.apart())

    async def _carry(self, owed: list[tuple[tuple[str, str], float]]) -> None:
        """Bring to Redis what was charged here meanwhile, and the cool-downs that began."""
        share = max(1, self._processes())
        try:
            for start in range(0, len(owed), _CARRIED):
                some = owed[start : start + _CARRIED]
                # A unit costs 1/rate seconds of a bucket: here the rate was divided by the processes, there it is not.
                left = [seconds / share for _, seconds in some]
                await self._link.run(_CARRY, [self._key(*key) for key, _ in some], left)
            while cooling := await self._local.cooldowns():
                for user, seconds in cooling:
                    rest: list[Word] = [user, *self._bounds, seconds]
                    await self._link.run(_SERVE, self._cooling(user)[:2], rest)
                    await self._local.lift(user)
        except RedisDown:
            return
        if owed:
            _log.info("limits_carried_over", extra={"buckets": len(owed)})

    async def _weigh(self, charges: Sequence[Charge], take: int) -> Throttle | None:
        if not charges:
            return None
        words: list[float] = [take]
        for charge in charges:
            words += charge.cost / charge.rate.per_second, charge.rate.tolerance
        began = time.perf_counter()
        answer = await self._link.run(_HIT, [self._key(charge.limit, charge.key) for charge in charges], words)
        self._observe(time.perf_counter() - began)
        return None if answer is None else Throttle(charges[answer[0] - 1].limit, float(answer[1]))

    def _share(self, charges: Sequence[Charge]) -> list[Charge]:
        count = max(1, self._processes())
        return [charge._replace(rate=_shared(charge, count)) for charge in charges]

    def _cooling(self, user: str) -> list[str]:
        """A user's cool-down, everybody's, and the user's strikes."""
        return [f"{self._prefix}:{key}" for key in (f"cooldown:{user}", "cooldowns", f"strikes:{user}")]

    def _key(self, limit: str, key: str) -> str:
        return f"{self._prefix}:limit:{limit}:{key}"


def _shared(charge: Charge, count: int) -> Rate:
    """This process's share: at least one, and what would fit a full bucket of all fits a full one of ours."""
    rate = charge.rate
    burst = max(1.0, math.floor(rate.burst / count), min(charge.cost, rate.burst))
    return Rate(rate.per_second / count, burst + _HAIR)
