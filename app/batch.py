"""Group commit: while one batch of posts is being stored, the next one gathers. No timer, no delay when idle."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from app.metrics import Metrics
from app.model import Event, Post, Stored
from app.store import Store

_log = logging.getLogger("portcullis.batch")

Answered = Callable[[Stored | None], None]
"""Called once a post is durably stored, or with None when that is not known: it may or may not have been."""


class Batch:
    """The only writer of posts in this process. At most `queued` posts wait; at most `size` go in one transaction."""

    def __init__(
        self,
        store: Store,
        publish: Callable[[Sequence[Event]], Awaitable[None]],
        metrics: Metrics,
        size: int,
        queued: int,
    ) -> None:
        self._store = store
        self._publish = publish
        self._metrics = metrics
        self._size = size
        self._queued = queued
        self._waiting: deque[tuple[Post, Answered]] = deque()
        self._running: asyncio.Task[None] | None = None
        self.failed = False
        """Whether the last transaction failed."""

    def put(self, post: Post, answered: Answered) -> bool:
        """Store a post soon; False, and nothing kept, when too many wait already."""
        if len(self._waiting) >= self._queued:
            return False
        self._waiting.append((post, answered))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
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

    async def _commit(self, entries: list[tuple[Post, Answered]]) -> None:
        try:
            stored = await self._store.append([post for post, _ in entries])
        except Exception:  # whatever it was, the outcome is unknown and nobody may be left waiting
            self._fail(entries)
            return
        self.failed = False
        self._metrics.degraded.labels("store").set(0)
        for (_, answered), item in zip(entries, stored, strict=True):
            _answer(answered, item)
        try:
            await self._publish([item.event for item in stored if not item.repeated])
        except Exception:  # the posts are stored and acked; those behind them must be, too
            _log.error("posts_not_published", extra={"posts": len(stored)}, exc_info=True)

    def _fail(self, entries: list[tuple[Post, Answered]]) -> None:
        self.failed = True
        self._metrics.store_errors.labels("append").inc()
        self._metrics.degraded.labels("store").set(1)
        _log.error("posts_not_stored", extra={"posts": len(entries)}, exc_info=True)
        for _, answered in entries:
            _answer(answered, None)


def _answer(answered: Answered, stored: Stored | None) -> None:
    """One connection's failure is not the batch's."""
    try:
        answered(stored)
    except Exception:
        _log.error("post_not_answered", exc_info=True)
