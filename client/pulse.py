"""Waiting until something holds, woken by whoever changes what it depends on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pulse:
    """Like asyncio.Condition on one event loop, but `beat` needs no lock and so no await."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Let everybody who waits look again."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once it holds; true of the very moment of the return."""
        while not holds():
            await self._event.wait()
