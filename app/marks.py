"""How far users have read, gathered and written down together: a mark is worth no transaction of its own."""

from __future__ import annotations

from app.model import RoomId, UserName
from app.store import Store


class Marks:
    """One per process. What a crash loses is read once more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[tuple[RoomId, UserName], int] = {}

    def put(self, room: RoomId, user: UserName, offset: int) -> None:
        """Remember it until the next `flush`; a mark never moves back."""
        key = (room, user)
        self._waiting[key] = max(offset, self._waiting.get(key, 0))

    async def flush(self) -> None:
        """Write down what was read since the last time. Raises StoreDown, forgetting nothing."""
        if self._waiting:
            marks = dict(self._waiting)
            await self._store.mark_read([(room, user, offset) for (room, user), offset in marks.items()])
            self._waiting = {key: offset for key, offset in self._waiting.items() if marks.get(key) != offset}

    async def settle(self, user: UserName) -> None:
        """Write down what is waiting of one user: before their unread messages are counted. Raises StoreDown."""
        if any(whose == user for _, whose in self._waiting):
            await self.flush()
