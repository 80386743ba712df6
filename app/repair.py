"""Brings a live room up to the store when events were missed: the broker may lose what the store never does."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from app import request_id
from app.hub import Hub
from app.live_room import LiveRoom
from app.store import Store, StoreDown
from app.verdict import CloseCode

_log = logging.getLogger("portcullis.repair")
_PAGE: Final = 256
_RETRY: Final = 1.0


class Repair:
    """At most one repair of a room runs at a time, and it goes on until the store has answered."""

    def __init__(self, store: Store, hub: Hub, seconds: float) -> None:
        self._store = store
        self._hub = hub
        self._seconds = seconds

    def begin(self, room: LiveRoom) -> asyncio.Task[None]:
        """Deliver what is missing, soon (`Hub.lost`)."""
        if room.repairing is None:
            room.repairing = asyncio.get_running_loop().create_task(self._run(room), context=request_id.apart())
        return room.repairing

    async def room(self, room: LiveRoom, offset: int) -> None:
        """Deliver what is missing up to an offset, and wait. Raises StoreDown when it takes longer than a store may."""
        room.heard = max(room.heard, offset)
        if room.offset >= offset:
            return
        done, _ = await asyncio.wait({self.begin(room)}, timeout=self._seconds)
        if not done:
            raise StoreDown(f"missing events could not be read in {self._seconds:g} s")

    async def _run(self, room: LiveRoom) -> None:
        try:
            while self._hub.rooms.get(room.id) is room and await self._page(room):
                pass
        except Exception:  # a bug must not leave a room that waits for its next event for ever
            _log.error("repair_failed", extra={"room": room.id}, exc_info=True)
            self._give_up(room)
        finally:
            room.repairing = None

    async def _page(self, room: LiveRoom) -> bool:
        """Deliver one page; whether more was heard of, maybe while it was read."""
        heard = room.heard
        try:
            events = await self._store.events(room.id, room.offset, _PAGE)
        except StoreDown:
            _log.warning("repair_waits", exc_info=True)
            await asyncio.sleep(_RETRY)
            return True
        missing = [event for event in events if event.offset > room.offset]
        if (missing[0].offset != room.offset + 1) if missing else (room.offset < heard):
            # Retention was quicker.
            self._give_up(room)
            return False
        self._hub.deliver(missing)
        return room.offset < room.heard

    def _give_up(self, room: LiveRoom) -> None:
        """Everybody has to join anew, and learns whether events are missing."""
        _log.error("room_not_repaired", extra={"room": room.id})
        self._hub.rooms.pop(room.id, None)
        for members in room.members.values():
            for connection in list(members):
                room.leave(connection)
                connection.close(CloseCode.TRY_LATER)
