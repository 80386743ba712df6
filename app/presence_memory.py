"""Presence of one process: its leases die with it, so none ever has to expire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TypeVar

from app.model import Address, ConnectionId, RoomId, UserName
from app.presence import Caps, Entered
from app.verdict import Reason

Key = TypeVar("Key")


class MemoryPresence:
    """Implements `app.presence.Presence`."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._leases: dict[ConnectionId, tuple[UserName, Address]] = {}
        self._users: Counter[UserName] = Counter()
        self._addresses: Counter[Address] = Counter()
        self._rooms: dict[RoomId, set[ConnectionId]] = {}

    @property
    def connections(self) -> int:
        """How many hold a lease."""
        return len(self._leases)

    async def fits(self, user: UserName, address: Address) -> Reason | None:
        """See `Presence.fits`."""
        if self._users[user] >= self._caps.per_user:
            return Reason.USER_CONNECTIONS
        if self._addresses[address] >= self._caps.per_address:
            return Reason.IP_CONNECTIONS
        if len(self._leases) >= self._caps.per_node:
            return Reason.NODE_FULL
        return None

    async def acquire(self, connection: ConnectionId, user: UserName, address: Address) -> Reason | None:
        """See `Presence.acquire`. Atomic because nothing between the check and the lease awaits anything pending."""
        reason = await self.fits(user, address)
        if reason is None:
            self._leases[connection] = (user, address)
            self._users[user] += 1
            self._addresses[address] += 1
        return reason

    async def renew(self, connections: Collection[ConnectionId]) -> None:
        """See `Presence.renew`: nothing to do, these leases live as long as the process."""

    async def release(self, connection: ConnectionId) -> None:
        """See `Presence.release`."""
        lease = self._leases.pop(connection, None)
        if lease is None:
            return
        user, address = lease
        _count_down(self._users, user)
        _count_down(self._addresses, address)
        for room in [room for room, members in self._rooms.items() if connection in members]:
            await self.leave(room, connection)

    async def enter(self, room: RoomId, connection: ConnectionId) -> Entered | None:
        """See `Presence.enter`: there is no other process."""
        members = self._rooms.setdefault(room, set())
        if connection not in members and len(members) >= self._caps.per_room:
            return None
        members.add(connection)
        return Entered.NEW

    async def leave(self, room: RoomId, connection: ConnectionId) -> None:
        """See `Presence.leave`."""
        members = self._rooms.get(room)
        if members is not None:
            members.discard(connection)
            if not members:
                del self._rooms[room]

    async def away(self, room: RoomId, user: UserName, seconds: float) -> None:
        """See `Presence.away`: whoever tells of it knows it, too."""

    async def online(self, room: RoomId) -> Collection[UserName]:
        """See `Presence.online`."""
        return {self._leases[connection][0] for connection in self._rooms.get(room, ())}


def _count_down(counter: Counter[Key], key: Key) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
