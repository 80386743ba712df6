"""How long a room's history is kept: the floor that takes it out of reach, and the removal of what lies below."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Double, Integer, and_, bindparam, delete, null, or_, select, update

from app.store_database import Database
from app.store_lists import as_list, listed
from app.store_schema import events, rooms

ROWS_AT_ONCE = 2000
IDS_KEPT_SECONDS = 86_400.0
"""What is sent again with its id within a day gets its first offset, whatever became of its text."""

_IN_ROOM = events.c.room == rooms.c.id
_EXPIRED: Final = bindparam("expired", type_=Double)

_UNSWEPT = (
    select(rooms.c.id, rooms.c.swept, rooms.c.floor)
    .where(rooms.c.floor > rooms.c.swept)
    .order_by(rooms.c.id)
    .limit(ROWS_AT_ONCE)
    .with_for_update(key_share=True)
)
_IN_STEP = and_(
    events.c.room == bindparam("in_room"), events.c.offset > bindparam("above"), events.c.offset <= bindparam("upto")
)
_REMOVE = delete(events).where(_IN_STEP, or_(events.c.client_id.is_(None), events.c.timestamp <= _EXPIRED))
_ERASE = update(events).where(_IN_STEP).values(message="", facts=null(), target=null())
_SWEPT = update(rooms).where(rooms.c.id == bindparam("in_room")).values(swept=bindparam("upto"))

_OLDEST_KEPT = (
    select(events.c.timestamp)
    .where(_IN_ROOM, events.c.offset <= rooms.c.swept)
    .order_by(events.c.offset)
    .limit(1)
    .scalar_subquery()
)
_WITH_EXPIRED = (
    select(rooms.c.id, rooms.c.swept)
    .where(rooms.c.swept > 0, _OLDEST_KEPT <= _EXPIRED)
    .order_by(rooms.c.id)
    .limit(ROWS_AT_ONCE)
)
"""Nobody is locked out: an id is either still known or already forgotten, and nothing hangs on which of the two."""

# Rows lie in the order of their times, so those that expired come first and no other one is looked at.
_FIRST_KEPT = (
    select(events.c.offset, events.c.timestamp)
    .where(events.c.room == bindparam("in_room"), events.c.offset <= bindparam("upto"))
    .order_by(events.c.offset)
    .limit(bindparam("most"))
    .subquery()
)
_FORGET = delete(events).where(
    events.c.room == bindparam("in_room"),
    events.c.offset.in_(select(_FIRST_KEPT.c.offset).where(_FIRST_KEPT.c.timestamp <= _EXPIRED)),
)

_ABOVE_FLOOR = and_(_IN_ROOM, events.c.offset > rooms.c.floor)
_OLDEST = select(events.c.timestamp).where(_ABOVE_FLOOR).order_by(events.c.offset).limit(1).scalar_subquery()
_FIRST_YOUNG = (
    select(events.c.offset)
    .where(_ABOVE_FLOOR, events.c.timestamp >= bindparam("since"))
    .order_by(events.c.offset)
    .limit(1)
    .scalar_subquery()
)
_OUTGROWN = (
    select(rooms.c.id)
    .where(or_(rooms.c.offset - bindparam("kept") > rooms.c.floor, bindparam("since") > _OLDEST))
    .order_by(rooms.c.id)
    .with_for_update(key_share=True)
)
_LOCKED, (_ROOM,) = listed("locked", Integer)
# Asked only once the rooms are locked: what was written while the lock was waited for is seen.
_FLOORS = select(rooms.c.id, rooms.c.offset, _FIRST_YOUNG).join(_LOCKED, rooms.c.id == _ROOM)
_RAISE = update(rooms).where(rooms.c.id == bindparam("in_room")).values(floor=bindparam("new_floor"))


class Retention(Database):
    """The store's verb about the age of events."""

    async def retain(self, now: float, seconds: float, events: int) -> int:
        """Take one step, of at most 2000 rows: remove or erase what is below the floors, and count it.

        With nothing of that left, move the floors, so that each room keeps the newest `events` that are no older than
        `seconds`, and answer 0: what that takes out of reach is still there until the next call, so that replays that
        began above may finish.
        """
        return await self._write(retain, now, seconds, events)


def retain(connection: Connection, now: float, seconds: float, kept: int) -> int:
    """See `Retention.retain`."""
    expired = now - IDS_KEPT_SECONDS
    gone = _sweep(connection, expired)
    gone += _forget(connection, expired, ROWS_AT_ONCE - gone)
    if gone == 0:
        _raise_floors(connection, now - seconds, kept)
    return gone


def _sweep(connection: Connection, expired: float) -> int:
    """Go on from where the last step ended; ids younger than a day keep their offset and time, without the text."""
    steps: list[dict[str, float]] = []
    left = ROWS_AT_ONCE
    for room, swept, floor in connection.execute(_UNSWEPT).all():
        upto = min(floor, swept + left)
        if upto > swept:
            steps.append({"in_room": room, "above": swept, "upto": upto, "expired": expired})
        left -= upto - swept
    if steps:
        for statement in (_REMOVE, _ERASE, _SWEPT):
            connection.execute(statement, steps)
    return ROWS_AT_ONCE - left


def _forget(connection: Connection, expired: float, most: int) -> int:
    """Remove the erased rows whose ids are a day old."""
    left = most
    if left == 0:
        return 0
    for room, swept in connection.execute(_WITH_EXPIRED, {"expired": expired}).all():
        values = {"in_room": room, "upto": swept, "most": left, "expired": expired}
        left -= connection.execute(_FORGET, values).rowcount
        if left == 0:
            break
    return most - left


def _raise_floors(connection: Connection, since: float, kept: int) -> None:
    outgrown = connection.execute(_OUTGROWN, {"since": since, "kept": kept}).all()
    if not outgrown:
        return
    asked = {"since": since, "locked": as_list(tuple(row) for row in outgrown)}
    floors = [
        {"in_room": room, "new_floor": max(newest - kept, (newest if young is None else young - 1))}
        for room, newest, young in connection.execute(_FLOORS, asked)
    ]
    connection.execute(_RAISE, floors)
