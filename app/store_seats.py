"""Who one user is in one room: their row, and the role that follows from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from json import dumps
from typing import Any

from sqlalchemy import Connection, Text, and_, bindparam, func, select
from sqlalchemy.dialects.sqlite import insert

from app.model import RoomState, UserName
from app.roles import Action, Role, judge
from app.store_heads import Head
from app.store_schema import accounts, members, rooms
from app.verdict import Denied

SEAT_COLUMNS = (
    accounts.c.admin,
    members.c.role,
    members.c.invited_by,
    members.c.muted_until,
    members.c.banned_until,
    members.c.read,
    members.c.since,
)
"""Of one row that joins a user's account and their row of the room, both outer: what `seat` takes."""

_PAIRS = func.json_each(bindparam("pairs", type_=Text)).table_valued("value", name="pairs")
_ROOM, _USER = func.json_extract(_PAIRS.c.value, "$[0]"), func.json_extract(_PAIRS.c.value, "$[1]")
_SEATS = select(_ROOM, _USER, *SEAT_COLUMNS).select_from(
    _PAIRS.outerjoin(accounts, accounts.c.name == _USER).outerjoin(
        members, and_(members.c.room == _ROOM, members.c.user == _USER)
    )
)
_JOINED = (
    select(func.count())
    .select_from(members.join(rooms, rooms.c.id == members.c.room))
    .where(members.c.user == bindparam("name"), members.c.role.is_not(None), ~rooms.c.everyone)
)
_ROW = insert(members)
_SIT = _ROW.on_conflict_do_update(
    index_elements=[members.c.room, members.c.user],
    set_={name: _ROW.excluded[name] for name in ("role", "invited_by", "muted_until", "banned_until", "read", "since")},
)

Pair = tuple[int, UserName]
"""The number of a room's row, and a user."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A user's row in a room, and what their account adds; all empty for somebody without either."""

    admin: bool | None = None
    """None: no account has that name."""
    role: Role | None = None
    invited_by: str | None = None
    muted_until: float = 0.0
    banned_until: float = 0.0
    read: int = 0
    since: float = 0.0


def seat(
    admin: bool | None,
    role: str | None,
    invited_by: str | None,
    muted_until: float | None,
    banned_until: float | None,
    read: int | None,
    since: float | None,
) -> Seat:
    """The seat that `SEAT_COLUMNS` say."""
    given = None if role is None else Role(role)
    return Seat(admin, given, invited_by, muted_until or 0.0, banned_until or 0.0, read or 0, since or 0.0)


def seats(connection: Connection, pairs: Collection[Pair]) -> dict[Pair, Seat]:
    """The seats of all pairs, in one statement."""
    rows = connection.execute(_SEATS, {"pairs": dumps(list(pairs))})
    return {(room, user): seat(*columns) for room, user, *columns in rows}


def sit(connection: Connection, room: int, user: str, seat: Seat) -> None:
    """Store a user's row in a room."""
    row = asdict(seat)
    del row["admin"]
    connection.execute(_SIT, row | {"room": room, "user": user})


def joined_rooms(connection: Connection, user: UserName) -> int:
    """How many rooms the user joined, those that everybody is in apart."""
    count: int = connection.execute(_JOINED, {"name": user}).scalar_one()
    return count


def effective_role(seat: Seat, room: Head | RoomState, now: float) -> Role:
    """What the user is in the room at this moment."""
    if seat.banned_until > now:
        return Role.BANNED
    if seat.admin and room.public:
        return Role.OWNER
    if seat.role is not None:
        return seat.role
    if seat.invited_by is not None:
        return Role.INVITED
    if room.everyone:
        return Role.MEMBER
    return Role.GUEST if room.public else Role.STRANGER


def objection(seat: Seat, room: Head | RoomState, actions: Sequence[Action], now: float) -> Denied | None:
    """What speaks against all of these actions by the user in the room, whomever they concern."""
    role = effective_role(seat, room, now)
    denials = [
        judge(
            role,
            action,
            now,
            archived=room.archived,
            muted_until=seat.muted_until,
            banned_until=seat.banned_until,
        )
        for action in actions
    ]
    return None if None in denials else denials[0]


def row_columns(row: Any) -> Seat:
    """The seat in the last columns of a row."""
    return seat(*row[-len(SEAT_COLUMNS) :])
