"""Sessions, revoked tokens and used tickets in the store, and what they say about a credential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from secrets import token_hex
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    update,
)

from app.model import Account, Address, BanKind, Session, SessionId, UserName
from app.store_accounts import ACCOUNT_COLUMNS, BANNED_UNTIL, insert_new
from app.store_database import Database
from app.store_lists import as_list, listed
from app.store_schema import accounts, bans, meta, revocations, sessions, tickets
from app.verdict import CloseCode

SWEEP_GRACE = 120.0
"""Seconds that a revocation outlives its token: clocks may differ by the leeway, at most 60 s. And that a session is
there after its end, so that who still lives by it is told that it expired, and not that somebody ended it.
"""

_TOUCHED_AT_ONCE = 10_000
_COLUMNS = (
    sessions.c.id,
    sessions.c.user,
    sessions.c.created_at,
    sessions.c.seen_at,
    sessions.c.expires_at,
    sessions.c.agent,
    sessions.c.address,
)
"""In the order of the fields of `Session`."""

_OPEN = insert(sessions)
_BY_SECRET = select(*_COLUMNS).where(sessions.c.secret_hash == bindparam("secret_hash"))
_OF_USER = select(*_COLUMNS).where(sessions.c.user == bindparam("name")).order_by(sessions.c.created_at, sessions.c.id)
_END = delete(sessions).where(sessions.c.user == bindparam("name"), sessions.c.id == bindparam("session"))
_END_OTHERS = (
    delete(sessions)
    .where(sessions.c.user == bindparam("name"), sessions.c.id != bindparam("keep"))
    .returning(sessions.c.id)
)
_TOUCH = (
    update(sessions)
    .where(sessions.c.id.in_(bindparam("ids", expanding=True)))
    .values(seen_at=case((sessions.c.seen_at < bindparam("now"), bindparam("now")), else_=sessions.c.seen_at))
)
_REVOKE = insert_new(revocations)
_USE_TICKET = insert_new(tickets)

_ONE = select(literal(1).label("one")).subquery()
_STANDING = select(
    *ACCOUNT_COLUMNS,
    exists().where(sessions.c.id == bindparam("session"), sessions.c.expires_at > bindparam("now")),
    exists().where(revocations.c.token_id == bindparam("token_id")),
    exists().where(
        bans.c.kind == BanKind.ADDRESS.value,
        bans.c.value == bindparam("address"),
        or_(bans.c.until.is_(None), bans.c.until > bindparam("now")),
    ),
).select_from(_ONE.outerjoin(accounts, accounts.c.name == bindparam("name")))
"""One row, also for an account that does not exist."""

_PASSES, (_NUMBER, _USER, _ADDRESS, _SESSION, _TOKEN) = listed("passes", Integer, Text, Text, Text, Text)
_ENDED = select(
    _NUMBER,
    case(
        (accounts.c.disabled, CloseCode.ACCOUNT_DISABLED.value),
        (BANNED_UNTIL.is_not(None), CloseCode.ACCOUNT_BANNED.value),
        (
            exists().where(
                bans.c.kind == BanKind.ADDRESS.value,
                bans.c.value == _ADDRESS,
                or_(bans.c.until.is_(None), bans.c.until > bindparam("now")),
            ),
            CloseCode.IP_BANNED.value,
        ),
        (exists().where(revocations.c.token_id == _TOKEN), CloseCode.REVOKED.value),
        (and_(_SESSION.is_not(None), ~exists().where(sessions.c.id == _SESSION)), CloseCode.REVOKED.value),
        (
            exists().where(sessions.c.id == _SESSION, sessions.c.expires_at <= bindparam("now")),
            CloseCode.CREDENTIAL_EXPIRED.value,
        ),
    ).label("code"),
).select_from(_PASSES.join(accounts, accounts.c.name == _USER))

_NEW_EPOCH = update(meta).where(meta.c.name == "epoch").values(value=bindparam("epoch"))
_SWEEPS = (
    delete(sessions).where(sessions.c.expires_at <= bindparam("long_ago")),
    delete(revocations).where(revocations.c.expires_at <= bindparam("long_ago")),
    delete(tickets).where(tickets.c.expires_at <= bindparam("long_ago")),
    delete(bans).where(bans.c.until <= bindparam("now")),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store knows against a credential, all read at one moment."""

    account: Account | None
    session_live: bool
    """True as well when the credential has no session."""
    token_revoked: bool
    address_banned: bool


Pass = tuple[UserName, Address, SessionId | None, str | None]
"""What a live connection came in by: its account, its address, and the session or the token's id, if any."""


class Sessions(Database):
    """The store's verbs about credentials. Times are Unix seconds."""

    async def open_session(self, session: Session, secret_hash: bytes) -> None:
        """Remember a sign-in by the hash of its cookie."""
        await self._write(open_session, session, secret_hash)

    async def session(self, secret_hash: bytes) -> Session | None:
        """The session of a cookie's hash, expired or not, until it is ended or swept."""
        return await self._read(session, secret_hash)

    async def sessions(self, user: UserName) -> list[Session]:
        """The user's sessions, oldest first."""
        return await self._read(sessions_of, user)

    async def end_session(self, user: UserName, session: SessionId) -> bool:
        """End one session of this user; False when the user has no such session."""
        return await self._write(end_session, user, session)

    async def end_sessions(self, user: UserName, keep: SessionId | None = None) -> list[SessionId]:
        """End the user's sessions but `keep`; the ids of those that ended."""
        return await self._write(end_sessions, user, keep)

    async def touch_sessions(self, ids: Sequence[SessionId], now: float) -> None:
        """Note that the sessions were in use at `now`; never moves one back."""
        if ids:
            await self._write(touch_sessions, ids, now)

    async def standing(
        self, user: UserName, address: Address, session: SessionId | None, token_id: str | None, now: float
    ) -> Standing:
        """Everything that a handshake must know about its credential, in one statement."""
        return await self._read(standing, user, address, session, token_id, now)

    async def ended(self, passes: Sequence[Pass], now: float) -> dict[int, CloseCode]:
        """Which of the passes (by their place) hold no longer and why, in one statement."""
        return await self._read(ended, passes, now) if passes else {}

    async def revoke_token(self, token_id: str, expires_at: float) -> None:
        """Refuse the token from now on; remembered until past its own end. Harmless when repeated."""
        await self._write(revoke_token, token_id, expires_at)

    async def use_ticket(self, ticket_id: str, expires_at: float) -> bool:
        """True once for each ticket, whoever asks; False when it was used before."""
        return await self._write(use_ticket, ticket_id, expires_at)

    async def renew(self) -> None:
        """After a restore: another epoch, since offsets may have gone back, and no session."""
        await self._write(renew, token_hex(8))

    async def sweep(self, now: float) -> None:
        """Delete expired sessions, bans, revocations and used tickets."""
        await self._write(sweep, now)


def open_session(connection: Connection, session: Session, secret_hash: bytes) -> None:
    """See `Sessions.open_session`."""
    connection.execute(_OPEN, asdict(session) | {"secret_hash": secret_hash})


def session(connection: Connection, secret_hash: bytes) -> Session | None:
    """See `Sessions.session`."""
    row = connection.execute(_BY_SECRET, {"secret_hash": secret_hash}).one_or_none()
    return None if row is None else Session(*row)


def sessions_of(connection: Connection, user: str) -> list[Session]:
    """See `Sessions.sessions`."""
    return [Session(*row) for row in connection.execute(_OF_USER, {"name": user})]


def end_session(connection: Connection, user: str, session: str) -> bool:
    """See `Sessions.end_session`."""
    return connection.execute(_END, {"name": user, "session": session}).rowcount == 1


def end_sessions(connection: Connection, user: str, keep: str | None) -> list[SessionId]:
    """See `Sessions.end_sessions`. No session has the empty id."""
    return list(connection.execute(_END_OTHERS, {"name": user, "keep": keep or ""}).scalars())


def touch_sessions(connection: Connection, ids: Sequence[str], now: float) -> None:
    """See `Sessions.touch_sessions`. In slices, below SQLite's 32,766 parameters."""
    for first in range(0, len(ids), _TOUCHED_AT_ONCE):
        connection.execute(_TOUCH, {"ids": list(ids[first : first + _TOUCHED_AT_ONCE]), "now": now})


def standing(
    connection: Connection, user: str, address: str, session: str | None, token_id: str | None, now: float
) -> Standing:
    """See `Sessions.standing`."""
    values: dict[str, Any] = {
        "name": user,
        "address": address,
        "session": session,
        "token_id": token_id,
        "now": now,
    }
    row = connection.execute(_STANDING, values).one()
    *about, session_live, token_revoked, address_banned = row
    account = None if about[0] is None else Account(*about)
    return Standing(account, session is None or session_live, token_revoked, address_banned)


def ended(connection: Connection, passes: Sequence[Pass], now: float) -> dict[int, CloseCode]:
    """See `Sessions.ended`."""
    asked = {"passes": as_list((number, *one) for number, one in enumerate(passes)), "now": now}
    return {number: CloseCode(code) for number, code in connection.execute(_ENDED, asked) if code is not None}


def revoke_token(connection: Connection, token_id: str, expires_at: float) -> None:
    """See `Sessions.revoke_token`."""
    connection.execute(_REVOKE, {"token_id": token_id, "expires_at": expires_at})


def use_ticket(connection: Connection, ticket_id: str, expires_at: float) -> bool:
    """See `Sessions.use_ticket`."""
    return connection.execute(_USE_TICKET, {"ticket_id": ticket_id, "expires_at": expires_at}).rowcount == 1


def renew(connection: Connection, epoch: str) -> None:
    """See `Sessions.renew`."""
    if connection.dialect.name == "postgresql":
        # A server that leads alone has no standby yet to wait for, and its clients have to learn of it at once.
        connection.exec_driver_sql("SET LOCAL synchronous_commit = local")
    connection.execute(_NEW_EPOCH, {"epoch": epoch})
    connection.execute(delete(sessions))


def sweep(connection: Connection, now: float) -> None:
    """See `Sessions.sweep`."""
    times = {"now": now, "long_ago": now - SWEEP_GRACE}
    for statement in _SWEEPS:
        connection.execute(statement, times)
