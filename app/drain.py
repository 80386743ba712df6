"""Taking nobody in: refuse, announce, close at an even pace; and before the process ends, finish what was accepted."""

from __future__ import annotations

import asyncio
import logging
import random

from app import protocol, request_id
from app.batch import Batch
from app.connection import Connection
from app.hub import Hub
from app.metrics import Metrics
from app.protocol import Profile
from app.verdict import CloseCode

_log = logging.getLogger("portcullis.drain")
_STEP = 0.05
_PACED = 0.7
"""The share of the drain's time in which connections are closed; the rest is for their close handshakes."""
_APART = 0.2
"""Seconds between two closes at most: a few need not wait for a drain that is long for a crowd's sake."""
_SOONEST, _SPREAD = 0.2, 0.8
"""Seconds to wait after one's own close: the closes are spread already, and nobody should be away for long."""
_FLUSH = 2.0
"""Seconds for the posts that were accepted last. Those without an answer are sent again, with the same id."""


class Drain:
    """While it is begun, handshakes are refused and readiness is off: for a while, or until the process ends."""

    def __init__(self, hub: Hub, batch: Batch, metrics: Metrics, seconds: float) -> None:
        self._hub = hub
        self._batch = batch
        self._metrics = metrics
        self._seconds = seconds
        self._clearing: asyncio.Task[None] | None = None
        self._ending = False
        self.begun = False

    def turn(self, *, away: bool) -> None:
        """Send everybody away, or take people in again: to be told every second what an administrator wants."""
        if self._ending:
            return
        if self.begun and not away:
            self._stop()
            _log.info("drain_lifted")
        elif away and (not self.begun or (self._hub.connections and self._clearing and self._clearing.done())):
            self._clearing = asyncio.get_running_loop().create_task(self._clear(), context=request_id.apart())
        self.begun = away

    async def run(self) -> None:
        """The process ends: close every connection within `seconds`; at once when there are none."""
        self._stop()
        self._ending = True
        await self._clear()
        flushed = await self._batch.flush(_FLUSH)
        _log.info("drain_ended", extra={"left": len(self._hub.connections), "flushed": flushed})

    def _stop(self) -> None:
        if self._clearing is not None:
            self._clearing.cancel()

    async def _clear(self) -> None:
        self.begun = True
        self._metrics.drains.inc()
        connections = list(self._hub.connections.values())
        _log.info("drain_begun", extra={"connections": len(connections)})
        for connection in connections:
            self._announce(connection)
        await self._close(connections)

    def _announce(self, connection: Connection) -> None:
        """The hint is spread so that not everybody knocks at the new process in the same second."""
        if connection.profile is Profile.CHAT_V1:
            hint = round(_SOONEST + random.random() * _SPREAD, 2)  # noqa: S311
            connection.send(protocol.encode({"type": "going_away", "retry_after": hint}))

    async def _close(self, connections: list[Connection]) -> None:
        clock = asyncio.get_running_loop().time
        begun = clock()
        closed = 0
        while self._hub.connections and clock() - begun < self._seconds:
            share = min(1.0, (clock() - begun + _STEP) / (self._seconds * _PACED))
            due = max(int((clock() - begun) / _APART) + 1, round(len(connections) * share))
            # When its turn is over, whoever had passed the gates before the drain began and came in since.
            late = list(self._hub.connections.values()) if closed >= len(connections) else []
            for connection in connections[closed:due] or late:
                connection.close(CloseCode.RESTART)
            closed = due
            await asyncio.sleep(_STEP)
