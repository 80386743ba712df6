"""Lists of rooms as one user sees them. One statement each, whatever the number of rooms."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Text, and_, bindparam, case, func, literal, or_, select, union_all

from app.model import EventKind, Listing, Offset, RoomId, UserName
from app.roles import MEMBERS, Role
from app.store_database import Database
from app.store_rooms import STATE_COLUMNS, entry_of
from app.store_schema import accounts, events, members, rooms
from app.store_seats import SEAT_COLUMNS, row_columns

OPEN_AT_MOST = 200
UNREAD_AT_MOST = 100

_NAME: Final = bindparam("name", type_=Text)
_OWN_ROW = and_(members.c.room == rooms.c.id, members.c.user == _NAME)
_SEEN = func.coalesce(members.c.read, 0)
_UNREAD = (
    select(func.count())
    .select_from(
        select(literal(1).label("one"))
        .where(
            events.c.room == rooms.c.id,
            events.c.offset > case((rooms.c.floor > _SEEN, rooms.c.floor), else_=_SEEN),
            events.c.kind == EventKind.MESSAGE.value,
            events.c.sender != _NAME,
            # A message says something until it is deleted.
            events.c.message != "",
        )
        .limit(UNREAD_AT_MOST)
        .correlate(rooms, members)
        .subquery("unread")
    )
    .scalar_subquery()
)
_ACCOUNTS = select(func.count()).select_from(accounts.alias("all_accounts")).scalar_subquery()
_COUNT = case((rooms.c.everyone, _ACCOUNTS), else_=rooms.c.members)
_JOINED = or_(members.c.role.is_not(None), rooms.c.everyone)
_SEATED = rooms.outerjoin(members, _OWN_ROW).outerjoin(accounts, accounts.c.name == _NAME)
_THEIRS, _SHARED = members.alias("theirs"), rooms.alias("shared")

_OWN = (
    select(_COUNT, case((_JOINED, _UNREAD), else_=0), *STATE_COLUMNS, *SEAT_COLUMNS)
    .select_from(_SEATED)
    .where(
        rooms.c.id.in_(
            union_all(
                select(_THEIRS.c.room).where(
                    _THEIRS.c.user == _NAME, or_(_THEIRS.c.role.is_not(None), _THEIRS.c.invited_by.is_not(None))
                ),
                select(_SHARED.c.id).where(_SHARED.c.everyone),
            )
        )
    )
    .order_by(rooms.c.everyone.desc(), rooms.c.title, rooms.c.name)
)
_ONE = (
    select(_COUNT, case((_JOINED, _UNREAD), else_=0), *STATE_COLUMNS, *SEAT_COLUMNS)
    .select_from(_SEATED)
    .where(rooms.c.name == bindparam("room"))
)
_OPEN = (
    select(_COUNT, literal(0), *STATE_COLUMNS, *SEAT_COLUMNS)
    .select_from(_SEATED)
    .where(
        rooms.c.public,
        ~rooms.c.archived,
        ~rooms.c.everyone,
        members.c.role.is_(None),
        members.c.invited_by.is_(None),
        func.coalesce(members.c.banned_until, 0.0) <= bindparam("now"),
    )
    .order_by(rooms.c.title, rooms.c.name)
    .limit(OPEN_AT_MOST)
)
_LISTED: Final = frozenset({*MEMBERS, Role.INVITED, Role.GUEST})


class Listings(Database):
    """The store's verbs about lists of rooms."""

    async def listings(self, user: UserName, public: bool) -> list[Listing]:
        """The user's rooms and invitations, the default room first, then by title; or the first 200 by title of the
        public rooms that they could join: neither archived, nor theirs, nor banning them."""
        return await self._read(listings, user, public)

    async def listing(self, room: RoomId, user: UserName) -> Listing | None:
        """One room as the user sees it, whatever they are in it; None where there is no such room."""
        return await self._read(listing, room, user)


def listings(connection: Connection, user: UserName, public: bool) -> list[Listing]:
    """See `Listings.listings`."""
    now = time.time()
    found: list[Listing] = []
    for count, unread, *columns in connection.execute(_OPEN if public else _OWN, {"name": user, "now": now}):
        row = _listing(count, unread, columns, now)
        if row.entry.role in _LISTED:
            found.append(row)
    return found


def listing(connection: Connection, room: RoomId, user: UserName) -> Listing | None:
    """See `Listings.listing`."""
    found = connection.execute(_ONE, {"name": user, "room": room}).one_or_none()
    if found is None:
        return None
    count, unread, *columns = found
    return _listing(count, unread, columns, time.time())


def _listing(count: int, unread: int, columns: Sequence[Any], now: float) -> Listing:
    return Listing(entry_of(columns, now), count, unread, Offset(row_columns(columns).read))
