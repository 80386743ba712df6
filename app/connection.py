"""One live connection: who it is, what it may still do, and its outbox, which is bounded in bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from app.address import ClientAddress
from app.limiter import Gcra, Rate
from app.metrics import Metrics
from app.model import ConnectionId, Identity, RoomId
from app.protocol import Profile
from app.settings import Settings
from app.verdict import CLOSES, CloseCode


class Wire(Protocol):
    """The seam to the socket. Nothing here awaits."""

    meter: Callable[[], None]
    """Called for every frame that is not a whole message: pings, pongs, fragments."""

    def write(self, data: bytes) -> None:
        """Append bytes that are whole frames already."""
        ...

    def buffered(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        ...

    async def drained(self) -> bool:
        """Wait until the reader, or the kernel for it, has taken what was written; False when it is gone."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and give the peer a moment to answer it. Harmless when repeated."""
        ...


class Connection:
    """Made after the handshake, dropped after the close. Sending never waits for the reader."""

    __slots__ = (
        "_metrics",
        "_outbox_bytes",
        "_stall_seconds",
        "_wire",
        "address",
        "close_code",
        "frames",
        "id",
        "identity",
        "malformed",
        "noticed_expiry",
        "opened_at",
        "posts",
        "profile",
        "received",
        "rooms",
        "throttled",
        "unacked",
    )

    def __init__(
        self,
        id: ConnectionId,  # noqa: A002
        identity: Identity,
        address: ClientAddress,
        profile: Profile,
        wire: Wire,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.id = id
        self.identity = identity
        self.address = address
        self.profile = profile
        self.rooms: set[RoomId] = set()
        self.frames = Gcra(Rate(settings.frames_per_connection_per_second, settings.frames_per_connection_burst))
        self.malformed = Gcra(Rate(settings.malformed_per_minute / 60, settings.malformed_per_minute))
        self.unacked = 0
        self.received = self.posts = self.throttled = 0
        self.opened_at = time.time()
        self.noticed_expiry = False
        self.close_code: int | None = None
        """The code that the server closed with, once it did."""
        self._wire = wire
        self._metrics = metrics
        self._outbox_bytes = settings.outbox_bytes
        self._stall_seconds = settings.ping_seconds + settings.pong_seconds

    def send(self, data: bytes) -> bool:
        """Write frames that must arrive, or close a reader that is too far behind: False then."""
        waiting = self._wire.buffered()
        if waiting and waiting + len(data) > self._outbox_bytes:
            self._evict()
            return False
        self._wire.write(data)
        return True

    def send_ephemeral(self, data: bytes) -> None:
        """Write frames that may be missed: left out as soon as half of the outbox is waiting."""
        if self._wire.buffered() * 2 > self._outbox_bytes:
            self._metrics.outbox_dropped.inc()
        else:
            self._wire.write(data)

    async def drained(self) -> bool:
        """Wait until nothing is waiting: a replay may be larger than any outbox. False when there is no reader left.

        One that takes nothing for as long as a dead peer is given is closed, whether it answers pings or not.
        """
        try:
            async with asyncio.timeout(self._stall_seconds):
                return await self._wire.drained() and self.close_code is None
        except TimeoutError:
            self._evict()
            return False

    def fits(self, data: bytes) -> bool:
        """Whether half of the outbox is free behind it, for what is to come."""
        return (self._wire.buffered() + len(data)) * 2 <= self._outbox_bytes

    @property
    def waiting(self) -> int:
        """Bytes in the outbox."""
        return self._wire.buffered()

    def close(self, code: CloseCode) -> None:
        """Close with the reason that the table gives; the first close wins."""
        if self.close_code is None:
            self.close_code = code
            self._wire.close(code, CLOSES[code][0])

    def _evict(self) -> None:
        if self.close_code is None:
            self._metrics.slow_consumers.inc()
            self.close(CloseCode.SLOW_CONSUMER)
