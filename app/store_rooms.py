"""Rooms in the store: made, looked at, and entered."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, and_, bindparam, select

from app.model import Change, Entry, Event, EventKind, Offset, RoomId, RoomState, Stored, UserName
from app.roles import Action, Role
from app.store_accounts import insert_new
from app.store_audit import Telling, tell
from app.store_database import Database
from app.store_heads import lock, settle
from app.store_schema import accounts, members, meta, rooms
from app.store_seats import SEAT_COLUMNS, Seat, effective_role, joined_rooms, seat, sit
from app.verdict import Denied, ErrorCode

_EPOCH = select(meta.c.value).where(meta.c.name == "epoch").scalar_subquery()
STATE_COLUMNS = (
    rooms.c.name,
    rooms.c.offset,
    _EPOCH.label("epoch"),
    rooms.c.floor,
    rooms.c.access,
    rooms.c.title,
    rooms.c.public,
    rooms.c.everyone,
    rooms.c.archived,
    rooms.c.posts_per_second,
    rooms.c.slow_seconds,
)
"""In the order of the fields of `RoomState`."""

_ROOM = select(*STATE_COLUMNS).where(rooms.c.name == bindparam("room"))
_ENTRY = (
    select(*STATE_COLUMNS, *SEAT_COLUMNS)
    .select_from(
        rooms.outerjoin(accounts, accounts.c.name == bindparam("name")).outerjoin(
            members, and_(members.c.room == rooms.c.id, members.c.user == bindparam("name"))
        )
    )
    .where(rooms.c.name == bindparam("room"))
)
_MADE = select(rooms.c.name, rooms.c.created_at).where(
    rooms.c.created_by == bindparam("owner"), rooms.c.client_id == bindparam("client_id")
)
_CREATE = insert_new(rooms)


class Rooms(Database):
    """The store's verbs about rooms."""

    async def room(self, room: RoomId) -> RoomState | None:
        """Where the room's history stands, and how it is set up."""
        return await self._read(room_state, room)

    async def entry(self, room: RoomId, user: UserName) -> Entry | None:
        """The room and who the user is in it, read at one moment; None where there is no such room."""
        return await self._read(entry, room, user)

    async def create_room(
        self,
        room: RoomId,
        title: str,
        public: bool,
        owner: UserName,
        client_id: str | None,
        at_most: int,
        request_id: str | None = None,
    ) -> Stored | Denied:
        """Make a room; its event 1 says so.

        Denied(UNCHANGED) when the id is taken, Denied(TOO_MANY_ROOMS) when the owner joined `at_most` already. The same
        client id of the same owner again is answered with the room that it made first, marked as repeated.
        """
        return await self._write(create_room, room, title, public, owner, client_id, at_most, request_id)


def room_state(connection: Connection, room: RoomId) -> RoomState | None:
    """See `Rooms.room`."""
    row = connection.execute(_ROOM, {"room": room}).one_or_none()
    return None if row is None else RoomState(*row)


def entry(connection: Connection, room: RoomId, user: UserName) -> Entry | None:
    """See `Rooms.entry`."""
    row = connection.execute(_ENTRY, {"room": room, "name": user}).one_or_none()
    return None if row is None else entry_of(row, time.time())


def entry_of(row: Any, now: float) -> Entry:
    """The entry in the columns of the room's state and of the user's seat."""
    state = RoomState(*row[: len(STATE_COLUMNS)])
    own = seat(*row[len(STATE_COLUMNS) : len(STATE_COLUMNS) + len(SEAT_COLUMNS)])
    role = effective_role(own, state, now)
    return Entry(state, role, own.muted_until, own.banned_until, joined=own.role is not None)


def create_room(
    connection: Connection,
    room: RoomId,
    title: str,
    public: bool,
    owner: UserName,
    client_id: str | None,
    at_most: int,
    request_id: str | None = None,
) -> Stored | Denied:
    """See `Rooms.create_room`."""
    # First, since it makes the same owner's other attempts wait: by then they are seen.
    joined = joined_rooms(connection, owner)
    if client_id is not None and (made := _made(connection, owner, client_id)) is not None:
        return Stored(made, repeated=True)
    if joined >= at_most:
        return Denied(ErrorCode.TOO_MANY_ROOMS, limit="rooms_per_user")
    now = time.time()
    row = {
        "name": room,
        "title": title,
        "public": public,
        "created_by": owner,
        "created_at": now,
        "client_id": client_id,
    }
    if connection.execute(_CREATE, row | {"offset": 0, "stamped_at": now}).rowcount == 0:
        return Denied(ErrorCode.UNCHANGED)
    heads = lock(connection, [room])
    head = heads[room]
    head.members = 1
    sit(connection, head.id, owner, Seat(role=Role.OWNER, since=now))
    facts = {"change": "created", "title": title, "public": public}
    # No client id of the event's own: it would meet those of the room's other events.
    change = Change(room, owner, Action.SEE, request_id=request_id)
    event = tell(connection, change, head, now, Telling(EventKind.ROOM, facts, action="create"))
    settle(connection, heads)
    return Stored(event, repeated=False)


def _made(connection: Connection, owner: UserName, client_id: str) -> Event | None:
    """The first event of the room that the id made, as far as it outlives retention."""
    row = connection.execute(_MADE, {"owner": owner, "client_id": client_id}).one_or_none()
    if row is None:
        return None
    return Event(RoomId(row.name), Offset(1), owner, "", row.created_at, EventKind.ROOM, {"change": "created"})
