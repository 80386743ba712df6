"""Threads that the store's work waits for, a bounded number of it and for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any, TypeVar

from app.store_faults import StoreDown

T = TypeVar("T")


class Lane:
    """Threads of its own behind a bounded queue, so that a stalled disk collects neither work nor memory."""

    def __init__(self, name: str, threads: int, waiting: int, timeout: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = BoundedSemaphore(threads + waiting)
        self._timeout = timeout
        self._name = name

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in a thread. StoreDown when the queue is full or the time-out passes first.

        Work that no thread has begun by then is dropped; work that was begun goes on and its outcome is unknown.
        """
        if not self._places.acquire(blocking=False):
            raise StoreDown(f"too much work is waiting for the {self._name}")
        future = self._submit(work)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise StoreDown(f"no answer from the {self._name} in {self._timeout:g} s") from error

    def shut(self) -> None:
        """Finish what was begun, drop the rest. Blocks."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        try:
            future = self._pool.submit(work)
        except RuntimeError as error:
            self._places.release()
            raise StoreDown("the store is closed") from error
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _future: Future[Any]) -> None:
        self._places.release()
