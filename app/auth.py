"""Who is it? Turns what a client presents (cookie, access token, ticket) into an identity, or a reason why not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from app.keys import Keys
from app.model import Account, Address, Credential, Identity, Session, UserName
from app.names import valid_name
from app.passwords import Passwords
from app.settings import Settings
from app.sign_in import SignIns, secret_hash
from app.store import Store
from app.tokens import Claims, Parent, Tokens, Use
from app.verdict import Reason

_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_TOUCH_SECONDS: Final = 60.0
"""A session in use over HTTP is marked as seen at most this often."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential as a client sent it: nothing about it is known to be true."""

    kind: Literal["cookie", "bearer", "url"]
    value: str


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A valid credential and what stands against its account and address. Those are for later gates to judge."""

    identity: Identity
    account: Account
    address_banned: bool


class Auth:
    """Verifies, refreshes and mints credentials. Every verb that reads the store raises StoreDown."""

    def __init__(self, settings: Settings, store: Store, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._store = store
        self._keys = keys
        self._clock = clock
        self._tokens = Tokens(settings, keys, clock)
        self.passwords = Passwords(settings)
        self.sign_ins = SignIns(settings, store, self.passwords, clock)

    async def authenticate(self, presented: Presented, address: Address, *, consume: bool) -> Authenticated | Reason:
        """Who presents it, or one of the `token_…` reasons (`backend_down` when an issuer's keys cannot be had).

        With `consume` a ticket is used up by a success; without, it stays usable. Whether the account or the address
        is banned or disabled is in the answer, not judged.
        """
        if presented.kind == "cookie":
            return await self._by_cookie(presented.value, address)
        claims = await self.verify(presented.value)
        if isinstance(claims, Reason):
            return claims
        if presented.kind == "url" and self._exposed(claims):
            return Reason.TOKEN_EXPOSED
        return await self._by_claims(claims, address, consume)

    async def refresh(self, identity: Identity, token: str, address: Address) -> Identity | Reason:
        """The identity that a live connection goes on with: the same issuer and subject, or TOKEN_INVALID.

        Judges the account and the address, too, since no gate comes after. Uses up a ticket.
        """
        answer = await self.authenticate(Presented("bearer", token), address, consume=True)
        if isinstance(answer, Reason):
            return answer
        fresh = answer.identity
        if (fresh.issuer, fresh.subject, fresh.user) != (identity.issuer, identity.subject, identity.user):
            return Reason.TOKEN_INVALID
        return standing_reason(answer) or fresh

    async def verify(self, token: str) -> Claims | Reason:
        """A token's claims by signature and time alone, whatever was revoked since."""
        return await self._tokens.verify(token)

    def access_token(self, identity: Identity) -> tuple[str, float]:
        """An access token for the identity's account, and the seconds until it expires."""
        return self._tokens.access_token(identity)

    def ticket(self, identity: Identity) -> tuple[str, float]:
        """A single-use ticket that stands for the identity's credential, and the seconds until it expires."""
        return self._tokens.ticket(identity)

    def jwks(self) -> dict[str, Any]:
        """The public keys that verify our tokens, as a JWK Set."""
        return self._keys.jwks()

    def session_live(self, session: Session) -> bool:
        """Whether a session is within its absolute and its idle time."""
        now = self._clock()
        return now < session.expires_at and now - session.seen_at <= self._settings.session_idle_seconds

    def close(self) -> None:
        """End the password threads."""
        self.passwords.close()

    async def _by_cookie(self, value: str, address: Address) -> Authenticated | Reason:
        if _COOKIE.fullmatch(value) is None:
            return Reason.TOKEN_INVALID
        session = await self._store.session(secret_hash(value))
        if session is None:
            return Reason.TOKEN_INVALID
        if not self.session_live(session):
            return Reason.TOKEN_EXPIRED
        answer = await self._judged(self._session_identity(session), address)
        if isinstance(answer, Authenticated):
            await self._touch(session)
        return answer

    async def _touch(self, session: Session) -> None:
        now = self._clock()
        if now - session.seen_at > min(_TOUCH_SECONDS, self._settings.session_idle_seconds / 4):
            await self._store.touch_sessions([session.id], now)

    async def _by_claims(self, claims: Claims, address: Address, consume: bool) -> Authenticated | Reason:
        answer = await self._judged(await self._token_identity(claims), address)
        if isinstance(answer, Reason) or claims.use is not Use.TICKET or not consume:
            return answer
        fresh = await self._store.use_ticket(claims.token_id, claims.expires_at)
        return answer if fresh else Reason.TOKEN_REUSED

    async def _judged(self, identity: Identity, address: Address) -> Authenticated | Reason:
        standing = await self._store.standing(
            identity.user, address, identity.session, identity.token_id, self._clock()
        )
        if standing.account is None:
            return Reason.TOKEN_INVALID
        if standing.token_revoked or not standing.session_live:
            return Reason.TOKEN_REVOKED
        account = standing.account
        return Authenticated(replace(identity, admin=account.admin), account, standing.address_banned)

    async def _token_identity(self, claims: Claims) -> Identity:
        if claims.parent is not None:
            return _ticket_identity(claims, claims.parent)
        user = UserName(claims.subject)
        if claims.external:
            wish = claims.wish if valid_name(claims.wish) else ""
            user = (await self._store.external_account(claims.issuer, claims.subject, wish)).name
        return Identity(
            user=user,
            credential=Credential.TOKEN,
            expires_at=claims.expires_at,
            issuer=claims.issuer,
            subject=claims.subject,
            session=claims.session,
            token_id=claims.token_id,
        )

    def _session_identity(self, session: Session) -> Identity:
        return Identity(
            user=session.user,
            credential=Credential.SESSION,
            expires_at=session.expires_at,
            issuer=self._settings.issuer,
            subject=session.user,
            session=session.id,
        )

    def _exposed(self, claims: Claims) -> bool:
        """Whether the token lives too long for a place that proxies and histories write down."""
        lifetime = claims.expires_at - min(claims.issued_at, self._clock())
        return claims.use is Use.ACCESS and lifetime > self._settings.query_token_max_seconds


def standing_reason(answer: Authenticated) -> Reason | None:
    """What the later gates would refuse the account or its address for, now."""
    if answer.account.disabled:
        return Reason.ACCOUNT_DISABLED
    if answer.account.banned_until is not None:
        return Reason.ACCOUNT_BANNED
    return Reason.IP_BANNED if answer.address_banned else None


def _ticket_identity(claims: Claims, parent: Parent) -> Identity:
    """The identity of the credential that the ticket was made from."""
    return Identity(
        user=UserName(claims.subject),
        credential=Credential.TICKET,
        expires_at=parent.expires_at,
        issuer=parent.issuer,
        subject=parent.subject,
        session=claims.session,
        token_id=parent.token_id,
    )
