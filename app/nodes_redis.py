"""The nodes that share a Redis: who lives is known by the processes' heartbeats, who is drained by a key for each."""

from __future__ import annotations

from collections import Counter
from typing import Final

from app.nodes import LastNode, Node
from app.redis_link import RedisLink, Script
from app.redis_pipe import RedisDown

_KEPT_SECONDS: Final = 30
"""What was said about a node outlives its last process by so much, as that one's leases do."""
_DRAINED, _RESUMED = b"1", b"0"

_LIVE: Final = Script.of("""
-- KEYS: the processes.
local time = redis.call('TIME')
return redis.call('ZRANGE', KEYS[1], string.format('(%.17g', time[1] + time[2] / 1000000), '+inf', 'BYSCORE')
""")
_STATE: Final = Script.of("""
-- KEYS: for each node, what was said about it and its connections. Returns drained, connections, drained ...
local time, found = redis.call('TIME'), {}
local now = string.format('(%.17g', time[1] + time[2] / 1000000)
for i = 1, #KEYS, 2 do
    table.insert(found, redis.call('GET', KEYS[i]) == '1' and 1 or 0)
    table.insert(found, redis.call('ZCOUNT', KEYS[i + 1], now, '+inf'))
end
return found
""")
_LOOK: Final = Script.of("""
-- KEYS: what was said about this node. ARGV: whether it is drained as far as it knows, milliseconds to keep that.
-- Where Redis has forgotten, the node has not; what an administrator said since wins.
local said = redis.call('GET', KEYS[1]) or ARGV[1]
if said == '1' then redis.call('SET', KEYS[1], said, 'PX', ARGV[2]) end
return said
""")
_DRAIN: Final = Script.of("""
-- KEYS: what was said about the node, then about each other one. ARGV: milliseconds to keep it.
for i = 2, #KEYS do
    if redis.call('GET', KEYS[i]) ~= '1' then
        redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
        return 1
    end
end
return 0
""")
_RESUME: Final = Script.of("""
-- KEYS: what was said about the node. ARGV: milliseconds to keep it, long enough for all its processes to hear it.
if redis.call('GET', KEYS[1]) ~= '1' then return 0 end
redis.call('SET', KEYS[1], '0', 'PX', ARGV[1])
return 1
""")


class RedisNodes:
    """Implements `app.nodes.Nodes` over the keys of `app.presence_redis`."""

    def __init__(self, link: RedisLink, prefix: str, name: str) -> None:
        self._link = link
        self._prefix = prefix
        self._name = name
        self._drained = False

    async def drained(self) -> bool:
        """See `Nodes.drained`."""
        own = _DRAINED if self._drained else _RESUMED
        try:
            said = await self._link.run(_LOOK, [self._key(self._name)], [own, _KEPT_SECONDS * 1000])
        except RedisDown:
            return self._drained
        self._drained = said == _DRAINED
        return self._drained

    async def nodes(self) -> list[Node]:
        """See `Nodes.nodes`. Raises RedisDown, which is a StoreDown."""
        processes = await self._processes()
        names = sorted(processes)
        keys = [key for name in names for key in (self._key(name), f"{self._prefix}:node:{name}")]
        found = iter(await self._link.run(_STATE, keys, ()) if keys else ())
        states = zip(names, found, found, strict=True)
        return [Node(name, processes[name], count, drained=bool(drained)) for name, drained, count in states]

    async def drain(self, name: str) -> bool:
        """See `Nodes.drain`. Raises RedisDown, which is a StoreDown."""
        names = await self._processes()
        if name not in names:
            return False
        keys = [self._key(one) for one in (name, *(names.keys() - {name}))]
        if not await self._link.run(_DRAIN, keys, [_KEPT_SECONDS * 1000]):
            raise LastNode
        return True

    async def resume(self, name: str) -> bool:
        """See `Nodes.resume`. Raises RedisDown, which is a StoreDown."""
        return bool(await self._link.run(_RESUME, [self._key(name)], [_KEPT_SECONDS * 1000]))

    async def _processes(self) -> Counter[str]:
        """How many live of each node: a process is called NODE-PID-RANDOM."""
        found = await self._link.run(_LIVE, [f"{self._prefix}:processes"], ())
        return Counter(process.decode().rsplit("-", 2)[0] for process in found)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:drained:{name}"
