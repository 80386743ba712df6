"""Seam: who is connected where. Caps on connections are leases that expire, so that a killed worker's come back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from app.model import Address, ConnectionId, RoomId, UserName
from app.verdict import Reason


@dataclass(frozen=True, slots=True)
class Caps:
    """How many connections may be open at once."""

    per_user: int
    per_address: int
    per_node: int
    per_room: int


class Entered(Enum):
    """How a connection came into a room."""

    NEW = "new"
    """No other process has its user there; whether this one has, it knows by itself."""
    ELSEWHERE = "elsewhere"
    """The user is there by way of another process already, or was until just now and nobody was told of it."""


class Presence(Protocol):
    """Shared over every process that serves the chat."""

    async def fits(self, user: UserName, address: Address) -> Reason | None:
        """The cap that `acquire` would refuse by, taking nothing."""
        ...

    async def acquire(self, connection: ConnectionId, user: UserName, address: Address) -> Reason | None:
        """Take one lease of each cap, all or none; USER_CONNECTIONS, IP_CONNECTIONS or NODE_FULL when one is full."""
        ...

    async def renew(self, connections: Collection[ConnectionId]) -> None:
        """Keep the leases of live connections; to be called at least every 10 seconds."""
        ...

    async def release(self, connection: ConnectionId) -> None:
        """Give everything back that the connection holds. Harmless when repeated."""
        ...

    async def enter(self, room: RoomId, connection: ConnectionId) -> Entered | None:
        """Become a live member of a room, and hear who of the user is there already; None when it is full."""
        ...

    async def leave(self, room: RoomId, connection: ConnectionId) -> None:
        """Stop being one. Harmless when repeated."""
        ...

    async def away(self, room: RoomId, user: UserName, seconds: float) -> None:
        """A user went without saying so: who of theirs enters within `seconds`, wherever, was there all the time."""
        ...

    async def online(self, room: RoomId) -> Collection[UserName]:
        """The users who are live in a room."""
        ...
