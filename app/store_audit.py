"""The events that changes write, and the audit log: who changed what about a room, and why. Kept for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from json import dumps, loads
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from app.model import AuditEntry, Change, Event, EventKind, Offset, RoomId, UserName
from app.store_database import Database
from app.store_heads import Head
from app.store_schema import audit, events, rooms

ENTRIES_AT_MOST = 1000

_BUMPS = frozenset({EventKind.MEMBER, EventKind.ROOM})
_NAMED_ELSEWHERE = frozenset({"change", "user", "reason"})
_EVENT = insert(events)
_ENTRY = insert(audit)
_PAGE = (
    select(
        audit.c.id,
        audit.c.offset,
        audit.c.timestamp,
        audit.c.by,
        audit.c.action,
        audit.c.user,
        audit.c.reason,
        audit.c.facts,
    )
    .join(rooms, rooms.c.id == audit.c.room)
    .where(rooms.c.name == bindparam("room"), audit.c.id < bindparam("before"))
    .order_by(audit.c.id.desc())
    .limit(bindparam("most"))
)
_NEWEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Telling:
    """What the event of a change says, and its entry in the audit log."""

    kind: EventKind
    facts: Mapping[str, Any]
    message: str = ""
    target: int | None = None
    """Of an edit: by it the texts are found when the message is deleted."""
    action: str | None = None
    """None where there is no entry: authors may edit and delete what is their own."""
    user: UserName | None = None
    """Whom the entry concerns."""


class Audit(Database):
    """The store's verb about the audit log."""

    async def audit(self, room: RoomId, before: int | None, limit: int) -> list[AuditEntry]:
        """The newest entries below id `before`, newest first, at most `limit` and at most 1000."""
        return await self._read(audit_entries, room, before, limit)


def audit_entries(connection: Connection, room: RoomId, before: int | None, limit: int) -> list[AuditEntry]:
    """See `Audit.audit`."""
    most = max(0, min(limit, ENTRIES_AT_MOST))
    values = {"room": room, "before": _NEWEST if before is None else before, "most": most}
    return [
        AuditEntry(id, room, Offset(offset), timestamp, UserName(by), action, user, reason, loads(facts))
        for id, offset, timestamp, by, action, user, reason, facts in connection.execute(_PAGE, values)  # noqa: A001
    ]


def tell(connection: Connection, change: Change, head: Head, now: float, telling: Telling) -> Event:
    """Write the event of a change with the room's next offset, and its entry in the audit log."""
    if telling.kind in _BUMPS:
        head.access += 1
        head.changed = True
    stamp, offset, facts = head.stamp(now), head.next(), dict(telling.facts)
    connection.execute(
        _EVENT,
        {
            "room": head.id,
            "offset": offset,
            "sender": change.sender,
            "client_id": change.client_id,
            "message": telling.message,
            "timestamp": stamp,
            "kind": telling.kind.value,
            "target": telling.target,
            "facts": dumps(facts),
        },
    )
    if telling.action is not None:
        connection.execute(_ENTRY, _entry(change, head, telling))
    return Event(change.room, offset, change.sender, telling.message, stamp, telling.kind, facts)


def _entry(change: Change, head: Head, telling: Telling) -> dict[str, Any]:
    facts = {name: value for name, value in telling.facts.items() if name not in _NAMED_ELSEWHERE}
    return {
        "room": head.id,
        "offset": head.offset,
        "timestamp": head.stamped_at,
        "by": change.sender,
        "action": telling.action,
        "user": telling.user,
        "reason": change.reason,
        "facts": dumps(facts),
        "request_id": change.request_id,
    }
