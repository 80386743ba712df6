"""A room's members in the store, and how far each of them has read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Double, Text, and_, bindparam, case, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.model import Member, RoomId, UserName
from app.roles import MEMBERS, Role
from app.store_database import Database
from app.store_lists import as_list, listed
from app.store_rooms import STATE_COLUMNS, entry_of
from app.store_schema import NUMBER, accounts, members, rooms
from app.store_seats import SEAT_COLUMNS

MEMBERS_AT_MOST = 1000

Mark = tuple[RoomId, UserName, int]

_ORDER: Final = {role: rank for rank, role in enumerate((*MEMBERS, Role.INVITED, Role.GUEST, Role.BANNED))}
_NOW: Final = bindparam("now", type_=Double)
_MEMBERS = (
    select(members.c.user, *STATE_COLUMNS, *SEAT_COLUMNS)
    .select_from(
        rooms.join(members, members.c.room == rooms.c.id).outerjoin(accounts, accounts.c.name == members.c.user)
    )
    .where(
        rooms.c.name == bindparam("room"),
        or_(
            members.c.role.is_not(None),
            members.c.invited_by.is_not(None),
            members.c.muted_until > _NOW,
            members.c.banned_until > _NOW,
        ),
    )
    .order_by(
        case(
            *((members.c.role == role.value, rank) for rank, role in enumerate(MEMBERS)),
            (members.c.invited_by.is_not(None), _ORDER[Role.INVITED]),
            (members.c.banned_until > _NOW, _ORDER[Role.BANNED]),
            else_=_ORDER[Role.GUEST],
        ),
        members.c.user,
    )
    .limit(MEMBERS_AT_MOST)
)

_MARKS, (_ROOM, _USER, _READ) = listed("marks", Text, Text, NUMBER)
_NEWEST_MARK = func.max(_READ)
_ROW = insert(members).from_select(
    ["room", "user", "read", "muted_until", "banned_until", "since"],
    select(
        rooms.c.id,
        _USER,
        case((rooms.c.offset > _NEWEST_MARK, _NEWEST_MARK), else_=rooms.c.offset),
        # A user has one row of a room, so the greatest of each is that row's.
        func.max(func.coalesce(members.c.muted_until, 0.0)),
        func.max(func.coalesce(members.c.banned_until, 0.0)),
        func.max(func.coalesce(members.c.since, _NOW)),
    )
    .select_from(
        _MARKS.join(rooms, rooms.c.name == _ROOM).outerjoin(
            members, and_(members.c.room == rooms.c.id, members.c.user == _USER)
        )
    )
    .where(
        or_(
            members.c.role.is_not(None),
            and_(rooms.c.everyone, or_(members.c.banned_until.is_(None), members.c.banned_until <= _NOW)),
        )
    )
    .group_by(rooms.c.id, _USER)
    # In one order, so that two writers (PostgreSQL) cannot wait for each other.
    .order_by(rooms.c.id, _USER),
)
_MARK = _ROW.on_conflict_do_update(
    index_elements=[members.c.room, members.c.user],
    set_={"read": _ROW.excluded.read},
    where=_ROW.excluded.read > members.c.read,
)


class Members(Database):
    """The store's verbs about members."""

    async def members(self, room: RoomId) -> list[Member]:
        """Who has a role, an invitation, a ban or a mute in force there, by role and name; at most 1000."""
        return await self._read(members_of, room)

    async def mark_read(self, marks: Sequence[Mark]) -> None:
        """Note how far users have read: never back, never above the room's newest offset; only members have a mark."""
        if marks:
            await self._write(mark_read, marks)


def members_of(connection: Connection, room: RoomId) -> list[Member]:
    """See `Members.members`."""
    now = time.time()
    found: list[Member] = []
    for user, *columns in connection.execute(_MEMBERS, {"room": room, "now": now}):
        entry = entry_of(columns, now)
        found.append(Member(UserName(user), entry.role, entry.muted_until, entry.banned_until))
    # An administrator counts as owner, whatever the row says.
    return sorted(found, key=lambda member: (_ORDER.get(member.role, _ORDER[Role.GUEST]), member.user))


def mark_read(connection: Connection, marks: Sequence[Mark]) -> None:
    """See `Members.mark_read`. One statement, whatever the number of marks."""
    connection.execute(_MARK, {"marks": as_list(marks), "now": time.time()})
