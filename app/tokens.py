"""Signed tokens: minting our own, verifying our own and those of the external issuers in the settings.

Follows RFC 8725 (JWT best current practices): one algorithm per key, explicit types, every claim checked.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from jwt import PyJWK, PyJWT, PyJWTError, get_unverified_header

from app.issuer import Issuer
from app.issuers import IssuerDown, RemoteKeys
from app.keys import Keys
from app.model import Identity, SessionId
from app.settings import Settings, SettingsError
from app.verdict import Reason

MAX_BYTES: Final = 8192
"""Longer ones are refused before anything is parsed."""
CACHED: Final = 10_000
"""How many verified tokens are remembered, by digest."""
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_MAX_NAME: Final = 255

_JWT: Final = PyJWT(
    {
        "enforce_minimum_key_length": True,
        # Times are compared with our own clock, below.
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
    }
)
_EXTERNAL_CLAIMS: Final = ["iss", "aud", "exp", "iat", "sub"]
_OWN_CLAIMS: Final = [*_EXTERNAL_CLAIMS, "nbf", "jti", "use"]


class Use(StrEnum):
    """What a token of ours is for; tickets and access tokens never stand in for each other."""

    ACCESS = "access"
    TICKET = "ticket"


TYPES: Final = {Use.ACCESS: "at+jwt", Use.TICKET: "ticket+jwt"}
"""The `typ` header of each use (RFC 9068 §2.1, RFC 8725 §3.11)."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The credential that a ticket stands for; the connection obeys it, not the ticket."""

    issuer: str
    subject: str
    token_id: str | None
    expires_at: float


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says. Times in Unix seconds."""

    issuer: str
    subject: str
    token_id: str
    issued_at: float
    not_before: float
    expires_at: float
    use: Use = Use.ACCESS
    session: SessionId | None = None
    parent: Parent | None = None
    external: bool = False
    wish: str = ""
    """The name an external issuer suggests for the account."""


class _Verified(NamedTuple):
    claims: Claims
    issuer: str
    kid: str | None
    algorithm: str
    key: PyJWK


class Tokens:
    """Mints and verifies. Verified tokens are remembered until they expire, never longer than their key is trusted."""

    def __init__(self, settings: Settings, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        if any(issuer.issuer == settings.issuer for issuer in settings.issuers):
            raise SettingsError("PORTCULLIS_ISSUERS: must not contain our own issuer.")
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._issuers = {issuer.issuer: (issuer, RemoteKeys(issuer)) for issuer in settings.issuers}
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def access_token(self, identity: Identity) -> tuple[str, float]:
        """A token for the identity's account and its seconds to live; never longer than the identity itself."""
        now = int(self._clock())
        expires = int(min(now + self._settings.access_token_seconds, identity.expires_at))
        claims = {"sub": identity.user, "iat": now, "nbf": now, "exp": expires}
        return self._mint(Use.ACCESS, claims, identity), float(expires - now)

    def ticket(self, identity: Identity) -> tuple[str, float]:
        """A single-use token that stands for the identity's credential, and its seconds to live."""
        now = int(self._clock())
        expires = int(min(now + self._settings.ticket_seconds, identity.expires_at))
        claims = {
            "sub": identity.user,
            "iat": now,
            "nbf": now,
            "exp": expires,
            "piss": identity.issuer,
            "psub": identity.subject,
            "pexp": identity.expires_at,
        }
        if identity.token_id is not None:
            claims["pjti"] = identity.token_id
        return self._mint(Use.TICKET, claims, identity), float(expires - now)

    async def verify(self, token: str) -> Claims | Reason:
        """The token's claims, or TOKEN_INVALID, TOKEN_EXPIRED, or BACKEND_DOWN when its issuer's keys cannot be had."""
        if len(token) > MAX_BYTES or _COMPACT.fullmatch(token) is None:
            return Reason.TOKEN_INVALID
        digest = hashlib.sha256(token.encode()).digest()
        try:
            claims = await self._recall(digest) or await self._check(token, digest)
        except IssuerDown:
            return Reason.BACKEND_DOWN
        except (PyJWTError, ValueError, TypeError, KeyError, RecursionError):
            return Reason.TOKEN_INVALID
        return self._in_time(claims, digest)

    async def _recall(self, digest: bytes) -> Claims | None:
        entry = self._verified.get(digest)
        if entry is None:
            return None
        if await self._key(entry.issuer, entry.kid, entry.algorithm) is not entry.key:
            self._verified.pop(digest, None)
            return None
        self._verified[digest] = entry
        self._verified.move_to_end(digest)
        return entry.claims

    async def _check(self, token: str, digest: bytes) -> Claims:
        header = get_unverified_header(token)
        issuer = _unverified_issuer(token)
        kid, algorithm = header.get("kid"), str(header.get("alg"))
        key = await self._key(issuer, kid, algorithm)
        if key is None:
            raise KeyError("unknown key")
        external = self._issuers.get(issuer)
        claims = self._external(token, key, external[0]) if external else self._own(token, key)
        if claims.use is not Use.TICKET:
            self._remember(digest, _Verified(claims, issuer, kid, algorithm, key))
        return claims

    async def _key(self, issuer: str, kid: str | None, algorithm: str) -> PyJWK | None:
        if issuer == self._settings.issuer:
            return self._keys.find(kid) if kid is not None else None
        return await self._issuers[issuer][1].find(kid, algorithm)

    def _own(self, token: str, key: PyJWK) -> Claims:
        decoded = _JWT.decode_complete(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=self._settings.audience,
            issuer=self._settings.issuer,
            options={"require": _OWN_CLAIMS},
        )
        payload = decoded["payload"]
        use = Use(payload["use"])
        if decoded["header"].get("typ") != TYPES[use]:
            raise ValueError("the type does not fit the use")
        return Claims(
            issuer=payload["iss"],
            subject=payload["sub"],
            token_id=payload["jti"],
            issued_at=_numeric_date(payload["iat"]),
            not_before=_numeric_date(payload.get("nbf", 0)),
            expires_at=_numeric_date(payload["exp"]),
            use=use,
            session=payload.get("sid"),
            parent=_parent(payload) if use is Use.TICKET else None,
        )

    def _external(self, token: str, key: PyJWK, issuer: Issuer) -> Claims:
        payload = _JWT.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=issuer.audience,
            issuer=issuer.issuer,
            options={"require": _EXTERNAL_CLAIMS},
        )
        if not 0 < len(payload["sub"]) <= _MAX_NAME:
            raise ValueError("the subject cannot name an account")
        wish = payload.get(issuer.name_claim)
        return Claims(
            issuer=issuer.issuer,
            subject=payload["sub"],
            token_id=_external_id(token, payload),
            issued_at=_numeric_date(payload["iat"]),
            not_before=_numeric_date(payload.get("nbf", 0)),
            expires_at=_numeric_date(payload["exp"]),
            external=True,
            wish=wish if isinstance(wish, str) else "",
        )

    def _in_time(self, claims: Claims, digest: bytes) -> Claims | Reason:
        now, leeway = self._clock(), self._settings.clock_leeway
        if max(claims.issued_at, claims.not_before) > now + leeway:
            return Reason.TOKEN_INVALID
        if claims.expires_at <= now:
            self._verified.pop(digest, None)
            return Reason.TOKEN_EXPIRED
        return claims

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified[digest] = verified
        if len(self._verified) > CACHED:
            self._verified.popitem(last=False)

    def _mint(self, use: Use, claims: dict[str, Any], identity: Identity) -> str:
        claims |= {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "jti": secrets.token_urlsafe(16),
            "use": use,
        }
        if identity.session is not None:
            claims["sid"] = identity.session
        key = self._keys.signer()
        headers = {"kid": key.kid, "typ": TYPES[use]}
        return _JWT.encode(claims, key.private, algorithm=key.algorithm, headers=headers)


def _unverified_issuer(token: str) -> str:
    """Which keys to try. Nothing else of an unverified payload is looked at."""
    payload = _JWT.decode(token, options={"verify_signature": False})
    issuer = payload.get("iss")
    if not isinstance(issuer, str):
        raise TypeError("no issuer")
    return issuer


def _numeric_date(value: Any) -> float:
    """RFC 7519 §2. Python's JSON also reads NaN, which would compare as never expired."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a NumericDate")
    return float(value)


def _parent(payload: Mapping[str, Any]) -> Parent:
    return Parent(payload["piss"], payload["psub"], payload.get("pjti"), _numeric_date(payload["pexp"]))


def _external_id(token: str, payload: Mapping[str, Any]) -> str:
    """`jti`, or the digest of what was signed where the issuer gives none that can be kept.

    Without the signature: of one ECDSA signature anybody can make a second valid one, which no revocation would match.
    """
    given = payload.get("jti")
    if isinstance(given, str) and 0 < len(given) <= _MAX_NAME:
        return given
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
