"""Asks the store for what this process was not told of: more often while it is cut off from the other processes.

The broker may lose what the store never does. What counts are the newest offsets of the live rooms, and what has become
of the live connections' credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Final

from app.hub import Hub
from app.model import RoomId
from app.store import Store, StoreDown

_log = logging.getLogger("portcullis.resync")
_CUT_OFF: Final = 1.0
"""Seconds between two questions while the broker delivers nothing: what others post arrives so late at worst."""
_USUAL: Final = 5.0
"""The same while it does: one process may be cut off from sending without anybody else noticing."""
_AT_ONCE: Final = 1000
"""Rooms or credentials in one statement."""


class Resync:
    """One per process, where several share a store."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._wanted = asyncio.Event()
        self._cut_off = False

    def want(self) -> None:
        """Ask soon: something may have been missed."""
        self._wanted.set()

    def cut_off(self, yes: bool) -> None:
        """Whether the others' events arrive by no other way."""
        self._cut_off = yes
        if yes:
            self.want()

    async def run(self) -> None:
        """Ask now and then, and whenever it is wanted, for as long as the process lives."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CUT_OFF if self._cut_off else _USUAL):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.ask()
            except StoreDown:
                self.want()
                await asyncio.sleep(_CUT_OFF)
            except Exception:  # a clock that stopped at a bug would miss everything from then on
                _log.error("resync_failed", exc_info=True)
                await asyncio.sleep(_CUT_OFF)

    async def ask(self) -> None:
        """Have what is missing delivered, and close what lives by an ended credential. Raises StoreDown."""
        rooms = list(self._hub.rooms)
        for first in range(0, len(rooms), _AT_ONCE):
            await self._rooms(rooms[first : first + _AT_ONCE])
        connections = list(self._hub.connections.values())
        for first in range(0, len(connections), _AT_ONCE):
            some = connections[first : first + _AT_ONCE]
            passes = [
                (one.identity.user, one.address.limited, one.identity.session, one.identity.token_id) for one in some
            ]
            for number, code in (await self._store.ended(passes, time.time())).items():
                some[number].close(code)

    async def _rooms(self, rooms: list[RoomId]) -> None:
        for room, offset in (await self._store.newest(rooms)).items():
            self._hub.behind(room, offset)
