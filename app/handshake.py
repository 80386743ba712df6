"""The gates a handshake passes, cheapest first; the first refusal wins. Their order is the tuple at the end."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from app.address import ClientAddress, client_address
from app.auth import Auth, Authenticated, Presented
from app.drain import Drain
from app.limiter import Charge, Limit, Limiter, Rate
from app.metrics import Metrics
from app.model import ConnectionId, Identity
from app.presence import Presence
from app.protocol import BEARER_PREFIX, SUBPROTOCOL, Profile
from app.settings import Settings
from app.store import StoreDown
from app.verdict import Reason, Refusal

SESSION_COOKIE = "__Host-session"
_MANY = "\0"
"""Stands for a header or parameter that came more than once: it equals no valid value."""


@dataclass(slots=True)
class Attempt:
    """The facts of one handshake, and what the gates have found out so far."""

    well_formed: bool
    host: str
    origin: str | None
    offered: tuple[str, ...]
    address: ClientAddress | None
    presented: Presented | None
    has_cookie: bool
    connection: ConnectionId | None
    """None when only asking: nothing is charged, used up or leased then."""
    authenticated: Authenticated | None = None

    @property
    def profile(self) -> Profile:
        """What the connection would speak."""
        return Profile.CHAT_V1 if self.offered else Profile.TUTORIAL


@dataclass(frozen=True, slots=True)
class Admitted:
    """Every gate let it in."""

    identity: Identity
    address: ClientAddress
    profile: Profile


class Doorman:
    """Asks every gate in order."""

    def __init__(
        self,
        settings: Settings,
        auth: Auth,
        limiter: Limiter,
        presence: Presence,
        drain: Drain,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.auth = auth
        self.limiter = limiter
        self.presence = presence
        self.drain = drain
        self.handshake_rate = Rate(
            settings.handshakes_per_address_per_minute / 60, settings.handshakes_per_address_burst
        )
        self._metrics = metrics

    async def judge(self, scope: Mapping[str, Any], connection: ConnectionId) -> Admitted | Refusal:
        """The verdict on a WebSocket handshake, counted; when it is admitted its leases are taken."""
        verdict = await self._ask(self._attempt(scope, connection))
        if isinstance(verdict, Refusal):
            self._metrics.handshakes.labels("refused").inc()
            self._metrics.handshakes_rejected.labels(verdict.reason).inc()
        else:
            self._metrics.handshakes.labels("accepted").inc()
        return verdict

    async def inspect(self, scope: Mapping[str, Any]) -> Admitted | Refusal:
        """What `judge` would say to a handshake with the credential of this HTTP request; nothing is charged."""
        return await self._ask(self._attempt(scope, None))

    def refuse_malformed(self) -> Refusal:
        """The verdict on a request for the socket's path that is no WebSocket handshake at all, counted."""
        self._metrics.handshakes.labels("refused").inc()
        self._metrics.handshakes_rejected.labels(Reason.HANDSHAKE_INVALID).inc()
        return Refusal(Reason.HANDSHAKE_INVALID)

    async def _ask(self, attempt: Attempt) -> Admitted | Refusal:
        try:
            for gate in GATES:
                refusal = gate(self, attempt)
                if refusal is not None and not isinstance(refusal, Refusal):
                    refusal = await refusal
                if refusal is not None:
                    return refusal
        except StoreDown as down:
            return Refusal(Reason.BACKEND_DOWN, retry_after=_soon(), why=str(down))
        assert attempt.authenticated is not None  # noqa: S101 - the credential's gates came before
        assert attempt.address is not None  # noqa: S101
        return Admitted(attempt.authenticated.identity, attempt.address, attempt.profile)

    def _attempt(self, scope: Mapping[str, Any], connection: ConnectionId | None) -> Attempt:
        headers = _Headers(scope["headers"])
        offered = tuple(scope.get("subprotocols") or ())
        cookies = headers.cookies(SESSION_COOKIE)
        return Attempt(
            well_formed="portcullis.malformed" not in (scope.get("extensions") or {}),
            host=host_name(headers.one("host") or ""),
            origin=headers.one("origin"),
            offered=offered,
            address=client_address(scope, self.settings),
            presented=_presented(headers, offered, scope["query_string"], cookies),
            has_cookie=bool(cookies),
            connection=connection,
        )


class _Headers:
    """Header fields by lower-case name; those that must be single say so when they are not."""

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def one(self, name: str) -> str | None:
        values = self._fields.get(name)
        if values is None:
            return None
        return values[0] if len(values) == 1 else _MANY

    def cookies(self, name: str) -> list[str]:
        pairs = (pair.strip().partition("=") for line in self._fields.get("cookie", ()) for pair in line.split(";"))
        return [value for key, _, value in pairs if key == name]


def _presented(headers: _Headers, offered: tuple[str, ...], query: bytes, cookies: list[str]) -> Presented | None:
    """The credential to judge: the most deliberate one wins. One that came twice is none that could be valid."""
    authorization = headers.one("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        return Presented("bearer", token.strip() if scheme.lower() == "bearer" else _MANY)
    bearers = [entry.removeprefix(BEARER_PREFIX) for entry in offered if entry.startswith(BEARER_PREFIX)]
    if bearers:
        return Presented("bearer", bearers[0] if len(bearers) == 1 else _MANY)
    tokens = [value for key, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if key == "token"]
    if tokens:
        return Presented("url", tokens[0] if len(tokens) == 1 else _MANY)
    if cookies:
        return Presented("cookie", cookies[0] if len(cookies) == 1 else _MANY)
    return None


def host_name(host: str) -> str:
    """A Host header's name without its port, in lower case; an IPv6 address keeps its brackets."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _soon() -> float:
    """Seconds until a retry is worth it, spread so that the clients do not come all at once."""
    return 1.0 + 2.0 * random.random()  # noqa: S311


Gate = Callable[[Doorman, Attempt], "Refusal | Awaitable[Refusal | None] | None"]


def draining(doorman: Doorman, _: Attempt) -> Refusal | None:
    return Refusal(Reason.DRAINING, retry_after=_soon()) if doorman.drain.begun else None


def host_known(doorman: Doorman, attempt: Attempt) -> Refusal | None:
    return None if attempt.host in doorman.settings.hosts else Refusal(Reason.HOST_UNKNOWN)


def handshake_valid(_: Doorman, attempt: Attempt) -> Refusal | None:
    valid = attempt.well_formed and attempt.address is not None
    return None if valid else Refusal(Reason.HANDSHAKE_INVALID)


def origin_allowed(doorman: Doorman, attempt: Attempt) -> Refusal | None:
    """Exactly one of the list; absent only where no browser could have added the cookie by itself."""
    allowed = not attempt.has_cookie if attempt.origin is None else attempt.origin in doorman.settings.origins
    return None if allowed else Refusal(Reason.ORIGIN_FORBIDDEN)


def subprotocol_known(_: Doorman, attempt: Attempt) -> Refusal | None:
    known = not attempt.offered or SUBPROTOCOL in attempt.offered
    return None if known else Refusal(Reason.SUBPROTOCOL_UNKNOWN)


async def address_rate(doorman: Doorman, attempt: Attempt) -> Refusal | None:
    assert attempt.address is not None  # noqa: S101 - handshake_valid came before
    charges = [Charge(Limit.HANDSHAKES_PER_ADDRESS, attempt.address.limited, doorman.handshake_rate)]
    charge = doorman.limiter.test if attempt.connection is None else doorman.limiter.hit
    throttle = await charge(charges)
    return None if throttle is None else Refusal(Reason.IP_RATE, throttle.retry_after)


def credential_present(_: Doorman, attempt: Attempt) -> Refusal | None:
    return Refusal(Reason.CREDENTIAL_MISSING) if attempt.presented is None else None


async def credential_valid(doorman: Doorman, attempt: Attempt) -> Refusal | None:
    assert attempt.presented is not None  # noqa: S101 - credential_present came before
    assert attempt.address is not None  # noqa: S101
    consume = attempt.connection is not None
    answer = await doorman.auth.authenticate(attempt.presented, attempt.address.limited, consume=consume)
    if isinstance(answer, Reason):
        return Refusal(answer, retry_after=_soon() if answer is Reason.BACKEND_DOWN else None)
    attempt.authenticated = answer
    return None


async def account_usable(doorman: Doorman, attempt: Attempt) -> Refusal | None:
    assert attempt.authenticated is not None  # noqa: S101 - credential_valid came before
    account = attempt.authenticated.account
    if account.disabled:
        return Refusal(Reason.ACCOUNT_DISABLED)
    if account.banned_until is not None:
        return Refusal(Reason.ACCOUNT_BANNED)
    wait = await doorman.limiter.cooldown(account.name)
    return Refusal(Reason.USER_COOLDOWN, retry_after=wait) if wait > 0 else None


def address_not_banned(_: Doorman, attempt: Attempt) -> Refusal | None:
    assert attempt.authenticated is not None  # noqa: S101
    return Refusal(Reason.IP_BANNED) if attempt.authenticated.address_banned else None


async def connections_left(doorman: Doorman, attempt: Attempt) -> Refusal | None:
    """Last, since it takes the leases that the connection then holds."""
    assert attempt.authenticated is not None  # noqa: S101
    assert attempt.address is not None  # noqa: S101
    user, address = attempt.authenticated.identity.user, attempt.address.limited
    if attempt.connection is None:
        reason = await doorman.presence.fits(user, address)
    else:
        reason = await doorman.presence.acquire(attempt.connection, user, address)
    return None if reason is None else Refusal(reason, retry_after=_soon())


GATES: tuple[Gate, ...] = (
    draining,
    host_known,
    handshake_valid,
    origin_allowed,
    subprotocol_known,
    address_rate,
    credential_present,
    credential_valid,
    account_usable,
    address_not_banned,
    connections_left,
)
