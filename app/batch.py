"""Group commit: while one batch of writes is being stored, the next one gathers. No timer, no delay when idle."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from app import request_id
from app.metrics import Metrics
from app.model import Change, Event, Post, Stored
from app.store import Store
from app.verdict import Denied

_log = logging.getLogger("portcullis.batch")

Write = Post | Change
Append = Callable[[Sequence[Write]], Awaitable[list[Stored | Denied]]]
Answered = Callable[[Stored | Denied | None], None]
"""Called once a write is durably stored or denied, or with None when that is not known: it may or may not have been."""


class Batch:
    """The only writer of events in this process, so that they are published in the order of their offsets.

    At most `queued` writes wait; at most `size` go in one transaction.
    """

    def __init__(
        self,
        store: Store,
        publish: Callable[[Sequence[Event]], Awaitable[None]],
        metrics: Metrics,
        size: int,
        queued: int,
    ) -> None:
        self.append: Append = store.append
        """How a batch is stored."""
        self._publish = publish
        self._metrics = metrics
        self._size = size
        self._queued = queued
        self._waiting: deque[tuple[Write, Answered]] = deque()
        self._running: asyncio.Task[None] | None = None
        self.failed = False
        """Whether the last transaction failed."""

    def put(self, write: Write, answered: Answered) -> bool:
        """Store it soon; False, and nothing kept, when too many wait already."""
        if len(self._waiting) >= self._queued:
            return False
        self._waiting.append((write, answered))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run(), context=request_id.apart())
        return True

    async def flush(self, seconds: float) -> bool:
        """Wait until everything that was put is answered: False when it was not within `seconds`."""
        clock = asyncio.get_running_loop().time
        ends = clock() + seconds
        while self._running is not None and clock() < ends:
            await asyncio.wait([self._running], timeout=ends - clock())
        return self._running is None

    async def _run(self) -> None:
        try:
            while self._waiting:
                count = min(self._size, len(self._waiting))
                await self._commit([self._waiting.popleft() for _ in range(count)])
        finally:
            self._running = None

    async def _commit(self, entries: list[tuple[Write, Answered]]) -> None:
        try:
            stored = await self.append([write for write, _ in entries])
        except Exception:  # whatever it was, the outcome is unknown and nobody may be left waiting
            self._fail(entries)
            return
        self.failed = False
        self._metrics.degraded.labels("store").set(0)
        answers = [(write, answered, item) for (write, answered), item in zip(entries, stored, strict=True)]
        for write, answered, item in answers:
            if isinstance(write, Post):
                _answer(answered, item)
        await self._deliver([item.event for item in stored if isinstance(item, Stored) and not item.repeated])
        # Who removed somebody is told so only once nothing more can be on its way to them.
        for write, answered, item in answers:
            if isinstance(write, Change):
                _answer(answered, item)

    async def _deliver(self, events: list[Event]) -> None:
        try:
            await self._publish(events)
        except Exception:  # they are stored and acked; those behind them must be, too
            _log.error("events_not_published", extra={"events": len(events)}, exc_info=True)

    def _fail(self, entries: list[tuple[Write, Answered]]) -> None:
        self.failed = True
        self._metrics.store_errors.labels("append").inc()
        self._metrics.degraded.labels("store").set(1)
        _log.error("posts_not_stored", extra={"posts": len(entries)}, exc_info=True)
        for _, answered in entries:
            _answer(answered, None)


def _answer(answered: Answered, stored: Stored | Denied | None) -> None:
    """One connection's failure is not the batch's."""
    try:
        answered(stored)
    except Exception:
        _log.error("post_not_answered", exc_info=True)
