"""Rooms and their events in the store: consecutive offsets, one for each (room, sender, client id)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

from sqlalchemy import Connection, Text, and_, bindparam, func, insert, select, update

from app.model import Event, Offset, Post, RoomId, RoomState, Stored, UserName
from app.store_database import Database
from app.store_schema import events, meta, rooms

EVENTS_AT_MOST = 1000

Key = tuple[RoomId, UserName, str]

# A list travels as one JSON parameter: the statement's text is the same for every size of a batch, and SQLite searches
# the index once for each key, where a row-value IN makes it scan the table.
_NAMES = func.json_each(bindparam("names", type_=Text)).table_valued("value", name="names")
_KEYS = func.json_each(bindparam("keys", type_=Text)).table_valued("value", name="keys")

# Rooms are locked in the order of their ids, so that two writers (PostgreSQL) cannot wait for each other.
_LOCK_ROOMS = (
    select(rooms.c.id, rooms.c.name, rooms.c.offset, rooms.c.stamped_at)
    .join(_NAMES, rooms.c.name == _NAMES.c.value)
    .order_by(rooms.c.id)
    .with_for_update(of=rooms)
)
KNOWN = select(
    events.c.room, events.c.sender, events.c.client_id, events.c.offset, events.c.message, events.c.timestamp
).join(
    _KEYS,
    and_(
        events.c.room == func.json_extract(_KEYS.c.value, "$[0]"),
        events.c.sender == func.json_extract(_KEYS.c.value, "$[1]"),
        events.c.client_id == func.json_extract(_KEYS.c.value, "$[2]"),
    ),
)
_ADVANCE = (
    update(rooms)
    .where(rooms.c.id == bindparam("room_id"))
    .values(offset=bindparam("newest"), stamped_at=bindparam("stamp"))
)
_INSERT = insert(events)
_EPOCH = select(meta.c.value).where(meta.c.name == "epoch").scalar_subquery()
_ROOM = select(rooms.c.offset, _EPOCH).where(rooms.c.name == bindparam("room"))
_EVENTS = (
    select(events.c.offset, events.c.sender, events.c.message, events.c.timestamp)
    .join(rooms, rooms.c.id == events.c.room)
    .where(rooms.c.name == bindparam("room"), events.c.offset > bindparam("after"))
    .order_by(events.c.offset)
    .limit(bindparam("most"))
)


class RoomUnknown(LookupError):  # noqa: N818
    """A post for a room that is not in the store; nothing of its batch was stored."""


@dataclass(slots=True)
class Head:
    """Where a room stands while a batch is numbered."""

    id: int
    offset: int
    stamped_at: float
    moved: bool = False


class Events(Database):
    """The store's verbs about rooms and events."""

    async def append(self, posts: Sequence[Post]) -> list[Stored]:
        """Store a batch in one transaction; answers in the posts' order.

        A post whose (room, sender, client_id) was stored before, or came earlier in the batch, gets that event again.
        All are stored or none. Raises RoomUnknown, and StoreDown when the outcome is unknown. NUL and lone surrogates,
        which no database takes, must have been refused before.
        """
        return await self._write(append, posts) if posts else []

    async def room(self, room: RoomId) -> RoomState | None:
        """Where the room's history stands."""
        return await self._read(room_state, room)

    async def events(self, room: RoomId, after: int, limit: int) -> list[Event]:
        """The events above offset `after`, oldest first, at most `limit` and at most 1000."""
        return await self._read(events_after, room, after, limit)


def append(connection: Connection, posts: Sequence[Post]) -> list[Stored]:
    """See `Events.append`. Four statements, whatever the size of the batch."""
    heads = _lock_rooms(connection, posts)
    known = _known(connection, heads, posts)
    stored, rows = number(posts, heads, known, time.time())
    if rows:
        moved = [head for head in heads.values() if head.moved]
        connection.execute(
            _ADVANCE, [{"room_id": head.id, "newest": head.offset, "stamp": head.stamped_at} for head in moved]
        )
        connection.execute(_INSERT, rows)
    return stored


def number(
    posts: Iterable[Post], heads: Mapping[RoomId, Head], known: dict[Key, Event], now: float
) -> tuple[list[Stored], list[dict[str, Any]]]:
    """Give out offsets without any I/O: (the answers, the rows to insert). Moves the heads, adds to `known`."""
    stored: list[Stored] = []
    rows: list[dict[str, Any]] = []
    for post in posts:
        key = None if post.client_id is None else (post.room, post.sender, post.client_id)
        if key is not None and (event := known.get(key)) is not None:
            stored.append(Stored(event, repeated=True))
            continue
        event = _next(post, heads[post.room], now)
        if key is not None:
            known[key] = event
        stored.append(Stored(event, repeated=False))
        rows.append(_row(post, event, heads[post.room].id))
    return stored, rows


def room_state(connection: Connection, room: RoomId) -> RoomState | None:
    """See `Events.room`."""
    row = connection.execute(_ROOM, {"room": room}).one_or_none()
    return None if row is None else RoomState(room, Offset(row[0]), row[1])


def events_after(connection: Connection, room: RoomId, after: int, limit: int) -> list[Event]:
    """See `Events.events`."""
    most = max(0, min(limit, EVENTS_AT_MOST))
    rows = connection.execute(_EVENTS, {"room": room, "after": after, "most": most})
    return [Event(room, *row) for row in rows]


def _lock_rooms(connection: Connection, posts: Sequence[Post]) -> dict[RoomId, Head]:
    names = {post.room for post in posts}
    rows = connection.execute(_LOCK_ROOMS, {"names": dumps(list(names))})
    heads = {row[1]: Head(row[0], row[2], row[3]) for row in rows}
    if len(heads) < len(names):
        raise RoomUnknown(", ".join(sorted(names - heads.keys())))
    return heads


def _known(connection: Connection, heads: Mapping[RoomId, Head], posts: Sequence[Post]) -> dict[Key, Event]:
    """The events that the batch's client ids already have."""
    keys = {(heads[post.room].id, post.sender, post.client_id) for post in posts if post.client_id is not None}
    if not keys:
        return {}
    names = {head.id: room for room, head in heads.items()}
    return {
        (names[room], sender, client_id): Event(names[room], offset, sender, message, timestamp)
        for room, sender, client_id, offset, message, timestamp in connection.execute(
            KNOWN, {"keys": dumps(list(keys))}
        )
    }


def _next(post: Post, head: Head, now: float) -> Event:
    """The clock may jump back; a room's timestamps never do."""
    head.offset += 1
    head.stamped_at = max(head.stamped_at, now)
    head.moved = True
    return Event(post.room, Offset(head.offset), post.sender, post.message, head.stamped_at)


def _row(post: Post, event: Event, room_id: int) -> dict[str, Any]:
    return {
        "room": room_id,
        "offset": event.offset,
        "sender": post.sender,
        "client_id": post.client_id,
        "message": post.message,
        "timestamp": event.timestamp,
    }
