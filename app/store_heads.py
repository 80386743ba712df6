"""Where rooms stand while a transaction writes into them: locked, numbered, written back once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Text, bindparam, select, update

from app.model import Offset, RoomId
from app.store_lists import as_list, listed
from app.store_schema import rooms

_SETTINGS: Final = (
    "access",
    "floor",
    "title",
    "public",
    "everyone",
    "archived",
    "posts_per_second",
    "slow_seconds",
    "members",
)
"""Columns of `rooms` and fields of `Head`, in its order."""

_NAMES, (_NAME,) = listed("names", Text)

# Rooms are locked in the order of their ids, so that two writers (PostgreSQL) cannot wait for each other. Nobody's key
# changes: who only refers to the room (a mark, a foreign key) does not wait.
_LOCK = (
    select(rooms.c.name, rooms.c.id, rooms.c.offset, rooms.c.stamped_at, *(rooms.c[name] for name in _SETTINGS))
    .join(_NAMES, rooms.c.name == _NAME)
    .order_by(rooms.c.id)
    .with_for_update(of=rooms, key_share=True)
)
_ADVANCE = (
    update(rooms)
    .where(rooms.c.id == bindparam("room_id"))
    .values(offset=bindparam("newest"), stamped_at=bindparam("stamp"))
)
_SETTLE = _ADVANCE.values({name: bindparam(f"new_{name}") for name in _SETTINGS})


@dataclass(slots=True)
class Head:
    """A locked room; what is changed here is stored by `settle`."""

    id: int
    offset: int
    stamped_at: float
    access: int
    floor: int
    title: str
    public: bool
    everyone: bool
    archived: bool
    posts_per_second: float | None
    slow_seconds: float
    members: int
    moved: bool = False
    changed: bool = False
    """More than its offset."""

    def stamp(self, now: float) -> float:
        """The time of the next event. The clock may jump back; a room's timestamps never do."""
        self.stamped_at = max(self.stamped_at, now)
        return self.stamped_at

    def next(self) -> Offset:
        """The offset of the next event."""
        self.offset += 1
        self.moved = True
        return Offset(self.offset)


def lock(connection: Connection, names: Iterable[RoomId]) -> dict[RoomId, Head]:
    """The rooms that exist, until the transaction ends nobody else's to write."""
    rows = connection.execute(_LOCK, {"names": as_list([name] for name in names)})
    return {row[0]: Head(*row[1:]) for row in rows}


def settle(connection: Connection, heads: Mapping[RoomId, Head]) -> None:
    """Write back what moved: one statement for rooms that only got posts, one more for those that changed."""
    moved = [head for head in heads.values() if head.moved and not head.changed]
    changed = [head for head in heads.values() if head.changed]
    if moved:
        connection.execute(_ADVANCE, [_position(head) for head in moved])
    if changed:
        connection.execute(
            _SETTLE, [_position(head) | {f"new_{name}": getattr(head, name) for name in _SETTINGS} for head in changed]
        )


def _position(head: Head) -> dict[str, object]:
    return {"room_id": head.id, "newest": head.offset, "stamp": head.stamped_at}
