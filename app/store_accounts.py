"""Accounts in the store: people who sign in here, and people whom an external issuer vouches for."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Insert, Select, Table, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.model import Account, BanKind, UserName
from app.store_database import Database
from app.store_schema import accounts, bans


def insert_new(table: Table) -> Insert:
    """INSERT … ON CONFLICT DO NOTHING, which SQLite and PostgreSQL spell alike: rowcount 0 when the key is taken."""
    return insert(table).on_conflict_do_nothing().inline().execution_options(preserve_rowcount=True)


BANNED_UNTIL = (
    select(func.max(func.coalesce(bans.c.until, math.inf)))
    .where(
        bans.c.kind == BanKind.USER.value,
        bans.c.value == accounts.c.name,
        or_(bans.c.until.is_(None), bans.c.until > bindparam("now")),
    )
    .scalar_subquery()
)
ACCOUNT_COLUMNS = (
    accounts.c.name,
    accounts.c.admin,
    accounts.c.disabled,
    accounts.c.password_hash,
    accounts.c.one_time,
    BANNED_UNTIL.label("banned_until"),
)
"""In the order of the fields of `Account`."""

_ACCOUNT: Select[Any] = select(*ACCOUNT_COLUMNS).where(accounts.c.name == bindparam("name"))
_EXTERNAL: Select[Any] = select(*ACCOUNT_COLUMNS).where(
    accounts.c.issuer == bindparam("issuer"), accounts.c.subject == bindparam("subject")
)
_ANY = select(accounts.c.id).limit(1)
_CREATE = insert_new(accounts)
_PASSWORD = (
    update(accounts)
    .where(accounts.c.name == bindparam("account"))
    .values(password_hash=bindparam("hash"), one_time=False)
)
_DISABLE = update(accounts).where(accounts.c.name == bindparam("account")).values(disabled=bindparam("off"))


class Accounts(Database):
    """The store's verbs about accounts. Names must be valid already; upper case is refused by the table itself."""

    async def create_account(
        self, name: UserName, password_hash: str, *, admin: bool = False, one_time: bool = False
    ) -> bool:
        """Create an account with a password; False when the name is taken."""
        return await self._write(create_account, name, password_hash, admin, one_time)

    async def external_account(self, issuer: str, subject: str, wish: str) -> Account:
        """The account of an external issuer's subject, created at first sight and the same ever after.

        It is named `wish` when that is free and not empty, else `ext-` and eight hexadecimal digits.
        """
        found = await self._read(find_external, issuer, subject)
        if found is not None:
            return found
        return await self._write(external_account, issuer, subject, wish)

    async def account(self, name: UserName) -> Account | None:
        """The account with its ban in force now, if any."""
        return await self._read(account, name)

    async def accounts_exist(self) -> bool:
        """Whether there is any account at all."""
        return await self._read(accounts_exist)

    async def set_password(self, name: UserName, password_hash: str) -> bool:
        """Replace the password and lift its one-time mark; False when there is no such account."""
        return await self._write(set_password, name, password_hash)

    async def set_disabled(self, name: UserName, disabled: bool) -> bool:
        """Disable or enable; False when there is no such account."""
        return await self._write(set_disabled, name, disabled)


def create_account(connection: Connection, name: str, password_hash: str | None, admin: bool, one_time: bool) -> bool:
    """See `Accounts.create_account`."""
    return _create(connection, name, password_hash=password_hash, admin=admin, one_time=one_time)


def find_external(connection: Connection, issuer: str, subject: str) -> Account | None:
    """The account of an external subject, if it was seen before."""
    values = {"issuer": issuer, "subject": subject, "now": time.time()}
    row = connection.execute(_EXTERNAL, values).one_or_none()
    return None if row is None else Account(*row)


def external_account(connection: Connection, issuer: str, subject: str, wish: str) -> Account:
    """See `Accounts.external_account`. Looks again first: another call may have created it meanwhile."""
    for name in _names(issuer, subject, wish):
        found = find_external(connection, issuer, subject)
        if found is not None:
            return found
        _create(connection, name, issuer=issuer, subject=subject)
    raise AssertionError("the names never end")


def account(connection: Connection, name: str) -> Account | None:
    """See `Accounts.account`."""
    row = connection.execute(_ACCOUNT, {"name": name, "now": time.time()}).one_or_none()
    return None if row is None else Account(*row)


def accounts_exist(connection: Connection) -> bool:
    """See `Accounts.accounts_exist`."""
    return connection.execute(_ANY).first() is not None


def set_password(connection: Connection, name: str, password_hash: str) -> bool:
    """See `Accounts.set_password`."""
    return connection.execute(_PASSWORD, {"account": name, "hash": password_hash}).rowcount == 1


def set_disabled(connection: Connection, name: str, disabled: bool) -> bool:
    """See `Accounts.set_disabled`."""
    return connection.execute(_DISABLE, {"account": name, "off": disabled}).rowcount == 1


def _create(connection: Connection, name: str, **values: object) -> bool:
    row = {
        "name": name,
        "admin": False,
        "disabled": False,
        "password_hash": None,
        "one_time": False,
        "issuer": None,
        "subject": None,
        "created_at": time.time(),
    } | values
    return connection.execute(_CREATE, row).rowcount == 1


def _names(issuer: str, subject: str, wish: str) -> Iterator[str]:
    """The wish, then names that follow from issuer and subject, until one is free."""
    if wish:
        yield wish
    attempt = 0
    while True:
        digest = hashlib.sha256(f"{issuer}\0{subject}\0{attempt}".encode()).hexdigest()
        yield f"ext-{digest[:8]}"
        attempt += 1
