"""What waits for the caller to read it: bounded, so that a slow caller slows the reading of the socket."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Final

from client.frames import Delivery
from client.pulse import Pulse

_WIDER: Final = 16
"""While the caller waits for an answer, which may lie behind events, the bound is so many times wider."""


class Inbox:
    """With a size of 0 everything is thrown away: for callers who only send."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[Delivery] = deque()
        self._end: BaseException | None = None
        self._urgent = 0
        self._pulse = Pulse()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Delivery) -> None:
        """Take what must not be missed, after a wait for `space`."""
        if self._size:
            self._waiting.append(item)
            self._pulse.beat()

    def offer(self, item: Delivery) -> None:
        """Take what may be missed: dropped when the caller is behind."""
        if len(self._waiting) < self._size:
            self.put(item)

    async def space(self) -> None:
        """Return once there is room for one more."""
        await self._pulse.until(self._has_space)

    @contextlib.contextmanager
    def urgent(self) -> Iterator[None]:
        """The caller waits for an answer: to stop reading now could be to wait for ever."""
        self._urgent += 1
        self._pulse.beat()
        try:
            yield
        finally:
            self._urgent -= 1

    async def get(self) -> Delivery:
        """The next one; once all are read, what `end` was given is raised."""
        await self._pulse.until(lambda: bool(self._waiting) or self._end is not None)
        if not self._waiting:
            assert self._end is not None  # noqa: S101 - waited for
            raise self._end
        self._pulse.beat()
        return self._waiting.popleft()

    def end(self, error: BaseException) -> None:
        """Nothing follows what waits already."""
        self._end = error
        self._pulse.beat()

    def _has_space(self) -> bool:
        return not self._size or len(self._waiting) < self._size * (_WIDER if self._urgent else 1)
