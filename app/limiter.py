"""Seam: who may do how much how fast. GCRA (ITU-T I.371 annex A), exact: at most burst + rate x T in any T seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol


class Limit(StrEnum):
    """The limits' names, as throttles and the metrics' `limit` label say them."""

    HANDSHAKES_PER_ADDRESS = "handshakes_per_address"
    POSTS_PER_USER = "posts_per_user"
    POSTS_PER_ROOM = "posts_per_room"
    SLOW_MODE = "slow_mode"
    CHANGES_PER_USER = "changes_per_user"
    READS_PER_USER = "reads_per_user"
    ROOMS_PER_USER = "rooms_per_user"
    FRAMES_PER_CONNECTION = "frames_per_connection"
    BYTES_PER_USER = "bytes_per_user"
    UNACKED_POSTS = "unacked_posts"
    MEMBERS_PER_ROOM = "members_per_room"
    SIGN_INS_PER_ACCOUNT = "sign_ins_per_account"
    SIGN_INS_PER_ADDRESS = "sign_ins_per_address"


MESSAGE_LIMITS: Final = (
    Limit.POSTS_PER_USER,
    Limit.POSTS_PER_ROOM,
    Limit.SLOW_MODE,
    Limit.CHANGES_PER_USER,
    Limit.READS_PER_USER,
    Limit.ROOMS_PER_USER,
    Limit.FRAMES_PER_CONNECTION,
    Limit.BYTES_PER_USER,
    Limit.UNACKED_POSTS,
    Limit.MEMBERS_PER_ROOM,
)
"""Those that answer a frame: the labels of `messages_throttled_total`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A sustained rate and how much of it may come at once."""

    per_second: float
    burst: float

    @property
    def tolerance(self) -> float:
        """Seconds by which the theoretical arrival time may run ahead of the clock."""
        return self.burst / self.per_second


class Charge(NamedTuple):
    """`cost` units of one limit for one key. Keys of different limits never meet."""

    limit: Limit
    key: str
    rate: Rate
    cost: float = 1.0


class Throttle(NamedTuple):
    """The limit that was reached, and the seconds after which the same charges would pass."""

    limit: Limit
    retry_after: float


class Cooldown(NamedTuple):
    """A user who is refused for a while, and the seconds that are left of it."""

    user: str
    seconds: float


LISTED: Final = 500
"""Cool-downs that are listed at most."""


class Limiter(Protocol):
    """Shared over every process that serves the chat."""

    async def hit(self, charges: Sequence[Charge]) -> Throttle | None:
        """Charge all or nothing, atomically; the throttle with the longest wait when one does not fit."""
        ...

    async def test(self, charges: Sequence[Charge]) -> Throttle | None:
        """What `hit` would answer, charging nothing."""
        ...

    async def strike(self, user: str) -> float:
        """Count one throttle against a user. Seconds of cool-down that it started, 0.0 for none."""
        ...

    async def cooldown(self, user: str) -> float:
        """Seconds of cool-down that the user still has to wait, 0.0 for none."""
        ...

    async def cooldowns(self) -> list[Cooldown]:
        """Who is cooling down, the longest wait first; the first 500. Raises StoreDown when nobody can say."""
        ...

    async def lift(self, user: str) -> bool:
        """End a user's cool-down as if it had never been; False when there is none. Raises StoreDown."""
        ...


class Gcra:
    """One bucket in this process: for what never leaves it, such as a connection's own frames."""

    __slots__ = ("_arrival", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._arrival = 0.0

    def hit(self, now: float, cost: float = 1.0) -> float:
        """Charge `cost` at monotonic time `now`: 0.0 when it fits, else the seconds to wait, nothing charged."""
        arrival, wait = gcra(self._arrival, now, self._rate, cost)
        if wait <= 0.0:
            self._arrival = arrival
            return 0.0
        return wait


ROUNDING: Final = 1e-5
"""Seconds: what the sums of a burst may be off by on a machine that is up for years, or it would be one short."""


def gcra(arrival: float, now: float, rate: Rate, cost: float) -> tuple[float, float]:
    """The decision without any state: (the new theoretical arrival time, seconds to wait or at most 0).

    An arrival further ahead than the tolerance was left by a slower rate, which nobody has to wait for any more. What
    the rounding let pass stays charged, or ever so many small charges would pass by it.
    """
    furthest = now + rate.tolerance
    arrival = max(min(arrival, furthest + ROUNDING), now) + cost / rate.per_second
    wait = arrival - furthest
    return arrival, wait if wait > ROUNDING else 0.0
