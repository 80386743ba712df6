"""Presence that all processes share: leases in Redis that end by themselves 30 s after the last renewal.

A lease is a member of a sorted set for each cap it counts against (user, address, node, room), scored with the server's
time at which it ends; what has ended is never counted. What Redis lost, the processes that live put back.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.model import Address, ConnectionId, RoomId, UserName
from app.presence import Caps, Entered
from app.redis_link import RedisLink, Script
from app.redis_pipe import RedisDown, Word
from app.verdict import Reason

LEASE_SECONDS: Final = 30.0
_RENEWED_AFTER: Final = 9.0
"""Renewals may come every second: each lease takes part in one of nine, so that the work is spread."""
_SETTLING_SECONDS: Final = 2.0
"""Twice the time between two renewals: until then every process has put its leases back after a loss."""
_AT_ONCE: Final = 100

_ANSWERS: Final = (None, Reason.USER_CONNECTIONS, Reason.IP_CONNECTIONS, Reason.NODE_FULL)
_LOST: Final = 4
_FULL: Final = 1

_LEASES: Final = """
-- KEYS[1]: the processes, KEYS[2]: there while lost leases are being put back. ARGV[1]: this process, ARGV[2]: seconds.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local ends = now + ARGV[2]

local function lives()
    return tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0') > now
end

-- Where our own heartbeat is gone, leases are gone, too: nothing can be counted before they are back.
local function lost() return not lives() or redis.call('EXISTS', KEYS[2]) == 1 end

local function count(key) return redis.call('ZCOUNT', key, string.format('(%.17g', now), '+inf') end

local function renew(key, member)
    redis.call('ZADD', key, string.format('%.17g', ends), member)
    redis.call('PEXPIRE', key, math.ceil(ARGV[2] * 1000))
end

local function keep(key, member)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.17g', now))
    renew(key, member)
end
"""
_ACQUIRE: Final = Script.of(
    _LEASES,
    """
-- KEYS[3..5]: user, address, node. ARGV[3]: the connection, or '' to take nothing. ARGV[4..6]: their caps.
if lost() then return 4 end
for i = 3, 5 do
    if count(KEYS[i]) >= tonumber(ARGV[i + 1]) then return i - 2 end
end
if ARGV[3] ~= '' then
    for i = 3, 5 do keep(KEYS[i], ARGV[3]) end
end
return 0
""",
)
_ENTER: Final = Script.of(
    _LEASES,
    """
-- KEYS[3]: the room, KEYS[4]: the user, KEYS[5]: who is away from the room. ARGV[3]: the user's name, ARGV[4]: the
-- connection, ARGV[5]: the cap.
-- Returns the user's other connections in the room: looked up one by one, for a user has a few and a room thousands.
-- 'away' stands for one that nobody was told of to be gone.
if lost() then return 4 end
local function member(connection) return ARGV[3] .. ' ' .. connection end
local function inside(connection)
    return tonumber(redis.call('ZSCORE', KEYS[3], member(connection)) or '0') > now
end
if not inside(ARGV[4]) and count(KEYS[3]) >= tonumber(ARGV[5]) then return 1 end
keep(KEYS[3], member(ARGV[4]))
local others = {}
for _, one in ipairs(redis.call('ZRANGE', KEYS[4], string.format('(%.17g', now), '+inf', 'BYSCORE')) do
    if one ~= ARGV[4] and inside(one) then table.insert(others, one) end
end
if tonumber(redis.call('ZSCORE', KEYS[5], ARGV[3]) or '0') > now then table.insert(others, 'away') end
redis.call('ZREM', KEYS[5], ARGV[3])
return others
""",
)
_BEAT: Final = Script.of(
    _LEASES,
    """
-- ARGV[3]: milliseconds for which nothing is counted when this process was lost, 0 when it is new.
local lived = lives()
if not lived and ARGV[3] ~= '0' then redis.call('SET', KEYS[2], '1', 'PX', ARGV[3]) end
keep(KEYS[1], ARGV[1])
return {lived and 1 or 0, count(KEYS[1])}
""",
)
_RENEW: Final = Script.of(
    _LEASES,
    """
-- KEYS[3..]: a set each, ARGV[3..]: the member to keep there.
for i = 3, #KEYS do renew(KEYS[i], ARGV[i]) end
""",
)
_AWAY: Final = Script.of(
    _LEASES,
    """
-- KEYS[3]: who is away from the room. ARGV[3]: the user's name.
keep(KEYS[3], ARGV[3])
""",
)
_ONLINE: Final = Script.of(
    _LEASES,
    """
-- KEYS[3]: the room.
return redis.call('ZRANGE', KEYS[3], string.format('(%.17g', now), '+inf', 'BYSCORE')
""",
)


@dataclass(slots=True)
class _Lease:
    """What this process holds for one connection."""

    user: UserName
    address: Address
    seen: float
    """When it was acquired, or last among the live connections."""
    renewed: float
    rooms: set[RoomId] = field(default_factory=set)


class RedisPresence:
    """Implements `app.presence.Presence`. Without Redis nobody new gets in, and who is in stays."""

    def __init__(
        self,
        link: RedisLink,
        prefix: str,
        caps: Caps,
        node: str,
        process: str,
        processes: int = 1,
        seconds: float = LEASE_SECONDS,
        settling: float = _SETTLING_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        counted: Callable[[int], object] = bool,
    ) -> None:
        """`process`: unique over all, and over restarts. `processes`: how many there are before Redis has said so;
        `counted` is told what it says.
        """
        self._link = link
        self._prefix = prefix
        self._caps = caps
        self._node = node
        self._process = process
        self._counted = counted
        self._seconds = seconds
        self._settling = settling
        self._clock = clock
        self._leases: dict[ConnectionId, _Lease] = {}
        self._known = False
        self.processes = processes
        """How many processes live, as last known."""

    async def fits(self, user: UserName, address: Address) -> Reason | None:
        """See `Presence.fits`. Raises RedisDown when Redis cannot say."""
        return await self._ask(ConnectionId(""), user, address)

    async def acquire(self, connection: ConnectionId, user: UserName, address: Address) -> Reason | None:
        """See `Presence.acquire`. Raises RedisDown when Redis cannot say; until it ends it may be taken then."""
        reason = await self._ask(connection, user, address)
        if reason is None:
            now = self._clock()
            self._leases[connection] = _Lease(user, address, now, now)
        return reason

    async def renew(self, connections: Collection[ConnectionId]) -> None:
        """See `Presence.renew`; also this process's heartbeat, so call it before the first `acquire`. Never raises.

        Leases that Redis has lost, or let end during an outage, are put back.
        """
        now = self._clock()
        live = [connection for connection in connections if connection in self._leases]
        for connection in live:
            self._leases[connection].seen = now
        self._forget(now)
        try:
            if not await self._beat():
                for lease in self._leases.values():
                    lease.renewed = -math.inf
            await self._put_back(self._due(now), now)
        except RedisDown:
            return

    async def release(self, connection: ConnectionId) -> None:
        """See `Presence.release`; what cannot be told to Redis ends there by itself. Never raises."""
        lease = self._leases.pop(connection, None)
        if lease is not None:
            await self._remove(self._members(connection, lease))

    async def enter(self, room: RoomId, connection: ConnectionId) -> Entered | None:
        """See `Presence.enter`. Raises RedisDown (which is a StoreDown) when Redis cannot say."""
        lease = self._leases.get(connection)
        if lease is None:
            raise RedisDown("the connection holds no lease")
        words: list[Word] = [self._process, self._seconds, lease.user, connection, self._caps.per_room]
        keys = self._keys(f"room:{room}", f"user:{lease.user}", f"away:{room}")
        answer = await self._link.run(_ENTER, keys, words)
        if answer == _LOST:
            raise _settling()
        if answer == _FULL:
            return None
        lease.rooms.add(room)
        if connection not in self._leases:  # released meanwhile
            await self._remove([(f"room:{room}", f"{lease.user} {connection}")])
        others = {ConnectionId(other.decode()) for other in answer}
        return Entered.NEW if others <= self._leases.keys() else Entered.ELSEWHERE

    async def leave(self, room: RoomId, connection: ConnectionId) -> None:
        """See `Presence.leave`. Never raises."""
        lease = self._leases.get(connection)
        if lease is not None and room in lease.rooms:
            lease.rooms.discard(room)
            await self._remove([(f"room:{room}", f"{lease.user} {connection}"), (f"away:{room}", lease.user)])

    async def away(self, room: RoomId, user: UserName, seconds: float) -> None:
        """See `Presence.away`. Never raises: without Redis they are announced anew."""
        with contextlib.suppress(RedisDown):
            await self._link.run(_AWAY, self._keys(f"away:{room}"), [self._process, seconds, user])

    async def online(self, room: RoomId) -> Collection[UserName]:
        """See `Presence.online`; without Redis, those of them that are connected to this process."""
        try:
            members = await self._link.run(_ONLINE, self._keys(f"room:{room}"), [self._process, self._seconds])
        except RedisDown:
            return {lease.user for lease in self._leases.values() if room in lease.rooms}
        return {UserName(member.decode().partition(" ")[0]) for member in members}

    async def close(self) -> None:
        """Give everything back at once, the place among the processes, too. Never raises."""
        while self._leases:
            some = [self._leases.popitem() for _ in range(min(_AT_ONCE, len(self._leases)))]
            await self._remove(member for connection, lease in some for member in self._members(connection, lease))
        await self._remove([("processes", self._process)])

    async def _ask(self, connection: ConnectionId, user: UserName, address: Address) -> Reason | None:
        caps = self._caps
        keys = self._keys(f"user:{user}", f"address:{address}", f"node:{self._node}")
        words: list[Word] = [self._process, self._seconds, connection, caps.per_user, caps.per_address, caps.per_node]
        answer = await self._link.run(_ACQUIRE, keys, words)
        if answer == _LOST:
            raise _settling()
        return _ANSWERS[answer]

    async def _beat(self) -> bool:
        """Whether Redis still knew us, and our leases with us."""
        settling = int(self._settling * 1000) if self._known else 0
        lived, count = await self._link.run(_BEAT, self._keys(), [self._process, self._seconds, settling])
        self._known, self.processes = True, count
        self._counted(count)
        return bool(lived)

    def _due(self, now: float) -> list[ConnectionId]:
        """Those of live connections that are old enough, and all that are lost."""
        before = now - _RENEWED_AFTER * self._seconds / LEASE_SECONDS
        return [
            one
            for one, lease in self._leases.items()
            if lease.renewed == -math.inf or (lease.seen == now and lease.renewed <= before)
        ]

    async def _put_back(self, due: Sequence[ConnectionId], now: float) -> None:
        """Set them all to end in 30 s, whether they are there or not; step by step, so that limits need not wait."""
        for start in range(0, len(due), _AT_ONCE):
            some = [one for one in due[start : start + _AT_ONCE] if one in self._leases]
            members = [pair for one in some for pair in self._members(one, self._leases[one])]
            keys, words = [key for key, _ in members], [member for _, member in members]
            await self._link.run(_RENEW, self._keys(*keys), [self._process, self._seconds, *words])
            for one in some:
                if one in self._leases:
                    self._leases[one].renewed = now

    def _forget(self, now: float) -> None:
        """Those that were acquired for a handshake that never came to be, and have ended."""
        for connection in [one for one, lease in self._leases.items() if now - lease.seen > self._seconds]:
            del self._leases[connection]

    async def _remove(self, members: Iterable[tuple[str, str]]) -> None:
        waiting = [self._link.call("ZREM", f"{self._prefix}:{key}", member) for key, member in members]
        await asyncio.gather(*waiting, return_exceptions=True)

    def _members(self, connection: ConnectionId, lease: _Lease) -> list[tuple[str, str]]:
        """Every set that counts it, without the prefix, and what stands for it there."""
        caps = [f"user:{lease.user}", f"address:{lease.address}", f"node:{self._node}"]
        rooms = [(f"room:{room}", f"{lease.user} {connection}") for room in lease.rooms]
        return [*((key, str(connection)) for key in caps), *rooms]

    def _keys(self, *names: str) -> list[str]:
        return [f"{self._prefix}:{name}" for name in ("processes", "settling", *names)]


def _settling() -> RedisDown:
    return RedisDown("leases are being put back")
