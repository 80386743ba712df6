"""An administrator's bans in the store."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from app.model import Ban, BanKind, UserName
from app.store_database import Database
from app.store_schema import bans

_ADD = insert(bans).returning(bans.c.id)
_BANS = select(
    bans.c.id, bans.c.kind, bans.c.value, bans.c.until, bans.c.reason, bans.c.by, bans.c.created_at
).order_by(bans.c.id)
_LIFT = delete(bans).where(bans.c.id == bindparam("ban"))


class Bans(Database):
    """The store's verbs about bans. `until` is Unix seconds, None for good."""

    async def add_ban(self, kind: BanKind, value: str, until: float | None, reason: str, by: UserName) -> Ban:
        """Ban a user or an address; bans of one value may overlap, the longest counts."""
        return await self._write(add_ban, kind, value, until, reason, by)

    async def bans(self) -> list[Ban]:
        """All bans that were not lifted or swept, oldest first."""
        return await self._read(all_bans)

    async def lift_ban(self, ban: int) -> bool:
        """Lift one; False when there is no such ban."""
        return await self._write(lift_ban, ban)


def add_ban(connection: Connection, kind: BanKind, value: str, until: float | None, reason: str, by: UserName) -> Ban:
    """See `Bans.add_ban`."""
    row: dict[str, Any] = {
        "kind": kind.value,
        "value": value,
        "until": until,
        "reason": reason,
        "by": by,
        "created_at": time.time(),
    }
    number: int = connection.execute(_ADD, row).scalar_one()
    return Ban(number, kind, value, until, reason, by, row["created_at"])


def all_bans(connection: Connection) -> list[Ban]:
    """See `Bans.bans`."""
    return [Ban(row[0], BanKind(row[1]), *row[2:]) for row in connection.execute(_BANS)]


def lift_ban(connection: Connection, ban: int) -> bool:
    """See `Bans.lift_ban`."""
    return connection.execute(_LIFT, {"ban": ban}).rowcount == 1
