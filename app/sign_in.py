"""Signing in with a name and a password, and changing the password."""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.address import ClientAddress
from app.limiter import Limit
from app.model import Account, Identity, Session, SessionId, UserName
from app.names import valid_name
from app.passwords import MAX_CHARACTERS, Passwords, PasswordsBusy
from app.settings import Settings
from app.store import Standing, Store

_AGENT_CHARACTERS: Final = 200
SECURITY = logging.getLogger("portcullis.security")


class Failure(StrEnum):
    """Why nobody was signed in, or a password was not changed."""

    CREDENTIALS_WRONG = "credentials_wrong"
    PASSWORD_CHANGE_REQUIRED = "password_change_required"  # noqa: S105
    PASSWORD_UNFIT = "password_unfit"  # noqa: S105
    CHANGE_UNEXPECTED = "change_unexpected"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_BANNED = "account_banned"
    IP_BANNED = "ip_banned"
    BUSY = "busy"


SIGN_INS: Final = ("accepted", *Failure, Limit.SIGN_INS_PER_ACCOUNT, Limit.SIGN_INS_PER_ADDRESS)
"""The label values of `sign_ins_total{outcome}`."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session, and the value of its cookie: the only place that ever has it."""

    cookie: str
    session: Session
    account: Account


class SignIns:
    """Opens sessions. Rates are limited before anything here is called; every verb may raise StoreDown."""

    def __init__(self, settings: Settings, store: Store, passwords: Passwords, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._store = store
        self._passwords = passwords
        self._clock = clock

    async def open(
        self, name: str, password: str, new_password: str | None, agent: str, address: ClientAddress
    ) -> SignedIn | Failure:
        """Sign in: always a new session, whatever the client had before.

        An unknown name and a wrong password cannot be told apart, neither by the answer nor by its time. An account
        whose password is a one-time password needs `new_password`, and only such an account takes one.
        """
        known = UserName(name if valid_name(name) else "")
        standing = await self._store.standing(known, address.limited, None, None, self._clock())
        try:
            answer = await self._admit(standing, password, new_password)
        except PasswordsBusy:
            return Failure.BUSY
        # An unknown name is not logged: people type their password into that field.
        facts = {"user": standing.account.name if standing.account else None, "address": address.full}
        if isinstance(answer, Failure):
            SECURITY.info("sign_in_failed", extra={**facts, "reason": answer})
            return answer
        signed_in = await self._open_session(answer, agent, address)
        SECURITY.info("sign_in", extra={**facts, "session": signed_in.session.id})
        return signed_in

    async def change_password(self, identity: Identity, password: str, new_password: str) -> list[SessionId] | Failure:
        """Change the password; the ids of the user's other sessions, which have ended."""
        account = await self._store.account(identity.user)
        try:
            if account is None or not await self._passwords.verify(account.password_hash, password):
                return Failure.CREDENTIALS_WRONG
            if not self._fit(account.name, password, new_password):
                return Failure.PASSWORD_UNFIT
            await self._store.set_password(account.name, await self._passwords.hash(new_password))
        except PasswordsBusy:
            return Failure.BUSY
        SECURITY.info("password_changed", extra={"user": account.name, "session": identity.session})
        return await self._store.end_sessions(account.name, identity.session)

    async def _admit(self, standing: Standing, password: str, new_password: str | None) -> Account | Failure:
        if standing.address_banned:
            return Failure.IP_BANNED
        account = standing.account
        matches = await self._passwords.verify(account.password_hash if account else None, password)
        if account is None or not matches:
            return Failure.CREDENTIALS_WRONG
        if account.disabled:
            return Failure.ACCOUNT_DISABLED
        if account.banned_until is not None:
            return Failure.ACCOUNT_BANNED
        return await self._renew(account, password, new_password) or account

    async def _renew(self, account: Account, password: str, new_password: str | None) -> Failure | None:
        """Replace a one-time password by the user's own, and an outdated hash by a current one."""
        if account.one_time:
            if new_password is None:
                return Failure.PASSWORD_CHANGE_REQUIRED
            if not self._fit(account.name, password, new_password):
                return Failure.PASSWORD_UNFIT
            await self._store.set_password(account.name, await self._passwords.hash(new_password))
            SECURITY.info("password_changed", extra={"user": account.name})
            return None
        if new_password is not None:
            return Failure.CHANGE_UNEXPECTED
        await self._rehash(account, password)
        return None

    async def _rehash(self, account: Account, password: str) -> None:
        if account.password_hash is None or not self._passwords.needs_rehash(account.password_hash):
            return
        renewed = await self._passwords.hash(password)
        # The user may have changed the password while this one was hashed: the old one must not come back.
        current = await self._store.account(account.name)
        if current is not None and current.password_hash == account.password_hash:
            await self._store.set_password(account.name, renewed)

    async def _open_session(self, account: Account, agent: str, address: ClientAddress) -> SignedIn:
        now = self._clock()
        session = Session(
            id=SessionId(secrets.token_urlsafe(16)),
            user=account.name,
            created_at=now,
            seen_at=now,
            # A whole second, as in tokens: one that ends with its session then ends neither sooner nor later.
            expires_at=float(math.floor(now + self._settings.session_absolute_seconds)),
            agent=agent[:_AGENT_CHARACTERS],
            address=address.full,
        )
        cookie = secrets.token_urlsafe(32)
        await self._store.open_session(session, secret_hash(cookie))
        return SignedIn(cookie, session, account)

    def _fit(self, name: str, old: str, new: str) -> bool:
        """Long enough, not the old one, and more than the name."""
        return self._settings.password_characters <= len(new) <= MAX_CHARACTERS and new not in (old, name)


def secret_hash(cookie: str) -> bytes:
    """What the store keeps of a cookie's value. It has 256 random bits, so it needs neither salt nor slowness."""
    return hashlib.sha256(cookie.encode()).digest()
