"""When to come again, and how fast to send."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

FRAMES_PER_SECOND: Final = 9.0
FRAMES_AT_ONCE: Final = 16.0
"""Both below the server's 10 a second and 20 at once: pings and pongs count there, too."""


class Backoff:
    """Seconds until the next attempt: anything up to a ceiling that doubles ("full jitter"), never below the hint."""

    def __init__(
        self, first: float = 1.0, longest: float = 30.0, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first = first
        self._longest = longest
        self._uniform = uniform
        self._failures = 0

    def delay(self, hint: float | None = None) -> float:
        """The wait before the next attempt, one failure on. The server's hint is not cut off: it knows why it asks."""
        ceiling = min(self._longest, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(hint or 0.0, self._uniform(0.0, ceiling))

    def reset(self) -> None:
        """It went well for a while: the next failure is a first one."""
        self._failures = 0


class Pace:
    """A token bucket that senders wait for in turn."""

    def __init__(
        self,
        per_second: float = FRAMES_PER_SECOND,
        at_once: float = FRAMES_AT_ONCE,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock or asyncio.get_running_loop().time
        self._tokens = at_once
        self._counted = self._clock()
        self._turn = asyncio.Lock()

    async def turn(self) -> None:
        """Return when one more frame may be sent; first come, first served."""
        async with self._turn:
            while (wait := self.wait()) > 0:  # noqa: ASYNC110 - it waits for the clock
                await asyncio.sleep(wait)
            self._tokens -= 1

    def wait(self) -> float:
        """Seconds until there is a token."""
        now = self._clock()
        if now > self._counted:
            self._tokens = min(self._at_once, self._tokens + (now - self._counted) * self._per_second)
            self._counted = now
        missing = (1.0 - self._tokens) / self._per_second
        return max(0.0, missing + max(0.0, self._counted - now))

    def pause(self, seconds: float) -> None:
        """The server found it too fast: nothing for so long, then one at a time."""
        self._tokens = min(self._tokens, 1.0)
        self._counted = max(self._counted, self._clock() + seconds)
