"""Rooms' events in the store: consecutive offsets, one for each (room, sender, client id)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from json import loads
from typing import Any

from sqlalchemy import Connection, Integer, Text, and_, bindparam, case, insert, select

from app.model import Change, Event, EventKind, Offset, Post, RoomId, Stored, UserName
from app.roles import Action
from app.store_changes import carry_out
from app.store_database import Database
from app.store_heads import Head, lock, settle
from app.store_lists import as_list, listed
from app.store_schema import events, rooms
from app.store_seats import objection, seats
from app.verdict import Denied, ErrorCode

EVENTS_AT_MOST = 1000

Key = tuple[RoomId, UserName, str]
Pair = tuple[int, UserName]

_KEYS, (_ROOM, _SENDER, _CLIENT_ID) = listed("keys", Integer, Text, Text)
_COLUMNS = (
    events.c.offset,
    events.c.sender,
    events.c.message,
    events.c.timestamp,
    events.c.kind,
    events.c.facts,
)
"""In the order of the fields of `Event`, behind its room."""

KNOWN = select(events.c.room, events.c.client_id, *_COLUMNS).join(
    _KEYS,
    and_(
        events.c.room == _ROOM,
        events.c.sender == _SENDER,
        events.c.client_id == _CLIENT_ID,
    ),
)
_INSERT = insert(events)
_IN_ROOM = select(*_COLUMNS).join(rooms, rooms.c.id == events.c.room).where(rooms.c.name == bindparam("room"))
_AFTER = (
    # One bound, so that the search begins at the higher one and reads no erased row.
    _IN_ROOM.where(
        events.c.offset > case((rooms.c.swept > bindparam("after"), rooms.c.swept), else_=bindparam("after"))
    )
    .order_by(events.c.offset)
    .limit(bindparam("most"))
)
_BEFORE = (
    _IN_ROOM.where(events.c.offset > rooms.c.floor, events.c.offset < bindparam("before"))
    .order_by(events.c.offset.desc())
    .limit(bindparam("most"))
)
_NEWEST = (1 << 63) - 1
_NAMES, (_NAME,) = listed("names", Text)
_OFFSETS = select(rooms.c.name, rooms.c.offset).join(_NAMES, rooms.c.name == _NAME)


class Events(Database):
    """The store's verbs about events."""

    async def append(self, writes: Sequence[Post | Change]) -> list[Stored | Denied]:
        """Store a batch in one transaction; answers in its order.

        A write whose (room, sender, client_id) was stored before, or came earlier in the batch, gets that event again.
        What is refused is answered so, by itself; all else is stored, or none of it. Raises StoreDown when the outcome
        is unknown. NUL and lone surrogates, which no database takes, must have been refused before.
        """
        return await self._write(append, writes) if writes else []

    async def events(self, room: RoomId, after: int, limit: int) -> list[Event]:
        """The events above offset `after`, oldest first, at most `limit` and at most 1000.

        Some at or below the floor are still there, so that a replay that began above it may finish; when the first one
        does not follow `after`, retention overtook the replay.
        """
        return await self._read(events_after, room, after, limit)

    async def events_before(self, room: RoomId, before: int | None, limit: int) -> list[Event]:
        """The newest events below offset `before` and above the floor, oldest first, at most `limit` and 1000."""
        return await self._read(events_before, room, before, limit)

    async def newest(self, names: Sequence[RoomId]) -> dict[RoomId, Offset]:
        """The newest offsets of those rooms that there are, in one statement."""
        return await self._read(newest, names) if names else {}


def append(connection: Connection, writes: Sequence[Post | Change]) -> list[Stored | Denied]:
    """See `Events.append`. Four statements for posts as of the rooms' own `access`, whatever the size of the batch."""
    now = time.time()
    heads = lock(connection, {write.room for write in writes})
    known = _known(connection, heads, writes)
    answers: list[Stored | Denied] = []
    # A change sees what was written before it, and a post behind it the access that it left.
    for kind, run in groupby(writes, type):
        if kind is Post:
            answers += _post(connection, [write for write in run if isinstance(write, Post)], heads, known, now)
        else:
            answers += [_change(connection, write, heads, known, now) for write in run if isinstance(write, Change)]
    settle(connection, heads)
    return answers


def number(
    posts: Sequence[Post],
    heads: Mapping[RoomId, Head],
    known: dict[Key, Event],
    objections: Mapping[Pair, Denied | None],
    now: float,
) -> tuple[list[Stored | Denied], list[dict[str, Any]]]:
    """Give out offsets without any I/O: (the answers, the rows to insert). Moves the heads, adds to `known`."""
    answers: list[Stored | Denied] = []
    rows: list[dict[str, Any]] = []
    for post in posts:
        head = heads.get(post.room)
        key = None if post.client_id is None else (post.room, post.sender, post.client_id)
        if head is None:
            answers.append(Denied(ErrorCode.ROOM_UNKNOWN))
        elif key is not None and (event := known.get(key)) is not None:
            answers.append(Stored(event, repeated=True))
        elif post.access != head.access and (denied := objections[head.id, post.sender]) is not None:
            answers.append(denied)
        else:
            stamp = head.stamp(now)
            event = Event(post.room, head.next(), post.sender, post.message, stamp)
            if key is not None:
                known[key] = event
            answers.append(Stored(event, repeated=False))
            rows.append(_row(post, event, head.id))
    return answers, rows


def events_after(connection: Connection, room: RoomId, after: int, limit: int) -> list[Event]:
    """See `Events.events`."""
    rows = connection.execute(_AFTER, {"room": room, "after": after, "most": _most(limit)})
    return [_event(room, *row) for row in rows]


def events_before(connection: Connection, room: RoomId, before: int | None, limit: int) -> list[Event]:
    """See `Events.events_before`."""
    values = {"room": room, "before": _NEWEST if before is None else before, "most": _most(limit)}
    return [_event(room, *row) for row in connection.execute(_BEFORE, values)][::-1]


def newest(connection: Connection, names: Sequence[RoomId]) -> dict[RoomId, Offset]:
    """See `Events.newest`."""
    rows = connection.execute(_OFFSETS, {"names": as_list([name] for name in names)})
    return {RoomId(room): Offset(offset) for room, offset in rows}


def _most(limit: int) -> int:
    return max(0, min(limit, EVENTS_AT_MOST))


def _known(connection: Connection, heads: Mapping[RoomId, Head], writes: Sequence[Post | Change]) -> dict[Key, Event]:
    """The events that the batch's client ids already have."""
    keys = {
        (heads[write.room].id, write.sender, write.client_id)
        for write in writes
        if write.client_id is not None and write.room in heads
    }
    if not keys:
        return {}
    names = {head.id: room for room, head in heads.items()}
    return {
        (names[room], columns[1], client_id): _event(names[room], *columns)
        for room, client_id, *columns in connection.execute(KNOWN, {"keys": as_list(keys)})
    }


def _post(
    connection: Connection, posts: list[Post], heads: Mapping[RoomId, Head], known: dict[Key, Event], now: float
) -> list[Stored | Denied]:
    answers, rows = number(posts, heads, known, _objections(connection, posts, heads, now), now)
    if rows:
        connection.execute(_INSERT, rows)
    return answers


def _objections(
    connection: Connection, posts: Sequence[Post], heads: Mapping[RoomId, Head], now: float
) -> dict[Pair, Denied | None]:
    """What speaks against the senders that were found entitled before the room last changed."""
    asked = {
        (head.id, post.sender): head
        for post in posts
        if (head := heads.get(post.room)) is not None and post.access != head.access
    }
    if not asked:
        return {}
    found = seats(connection, asked)
    return {pair: objection(found[pair], head, (Action.POST,), now) for pair, head in asked.items()}


def _change(
    connection: Connection, change: Change, heads: Mapping[RoomId, Head], known: dict[Key, Event], now: float
) -> Stored | Denied:
    head = heads.get(change.room)
    if head is None:
        return Denied(ErrorCode.ROOM_UNKNOWN)
    key = None if change.client_id is None else (change.room, change.sender, change.client_id)
    if key is not None and (event := known.get(key)) is not None:
        return Stored(event, repeated=True)
    answer = carry_out(connection, change, head, now)
    if key is not None and isinstance(answer, Stored):
        known[key] = answer.event
    return answer


def _row(post: Post, event: Event, room_id: int) -> dict[str, Any]:
    """The columns that are left out say by default that it is a message."""
    return {
        "room": room_id,
        "offset": event.offset,
        "sender": post.sender,
        "client_id": post.client_id,
        "message": post.message,
        "timestamp": event.timestamp,
    }


def _event(
    room: RoomId, offset: int, sender: str, message: str, timestamp: float, kind: str, facts: str | None
) -> Event:
    said = None if facts is None else loads(facts)
    return Event(room, Offset(offset), UserName(sender), message, timestamp, EventKind(kind), said)
