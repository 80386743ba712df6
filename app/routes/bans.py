"""For administrators: bans of users and addresses, and revoked tokens."""

from __future__ import annotations

import time
from typing import Final, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.address import ClientAddress, parse_address
from app.auth import Auth
from app.backends import Backends
from app.model import Ban, BanKind, Revocation, RevocationKind, UserName
from app.routes.accounts import ADMIN_REASONS
from app.routes.gate import Administrator, Parts, Passed
from app.routes.problem import Refused, documented
from app.sign_in import SECURITY
from app.tokens import MAX_BYTES, Claims, Use
from app.verdict import Reason

router = APIRouter(tags=["administration"])

_YEAR: Final = 366 * 86_400.0
_UNKNOWN_LIFETIME: Final = 30 * 86_400.0
"""How long a revocation by bare `jti` is remembered, since it does not say when the token expires."""


class NewBan(BaseModel):
    """A user or an address to ban, for some seconds or for good."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user": "mallory", "seconds": 3600, "reason": "spam"}]}
    )

    user: str | None = Field(None, min_length=1, max_length=64)
    address: str | None = Field(None, max_length=64, description="IPv4, or IPv6: then its whole /64 is banned.")
    seconds: float | None = Field(None, gt=0, le=_YEAR, allow_inf_nan=False, description="For good when left out.")
    reason: str = Field(max_length=200)

    @model_validator(mode="after")
    def one_of(self) -> Self:
        """Exactly one of both."""
        if (self.user is None) == (self.address is None):
            raise ValueError("name either a user or an address")
        return self


class BanBody(BaseModel):
    """A ban. Times are Unix seconds; `until` is null for one without an end."""

    id: int
    kind: BanKind
    value: str = Field(examples=["mallory"])
    until: float | None = Field(examples=[1767229200.0])
    reason: str = Field(examples=["spam"])
    by: str = Field(examples=["admin"])
    created_at: float = Field(examples=[1767225600.0])


class Bans(BaseModel):
    """The bans in force, oldest first."""

    bans: list[BanBody]


class NewRevocation(BaseModel):
    """A token to revoke, by itself or by its `jti`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"jti": "q1Zx9sJm0aVb3Tn8uYc2Lw"}]})

    token: str | None = Field(None, min_length=1, max_length=MAX_BYTES)
    jti: str | None = Field(None, min_length=1, max_length=255)

    @model_validator(mode="after")
    def one_of(self) -> Self:
        """Exactly one of both."""
        if (self.token is None) == (self.jti is None):
            raise ValueError("name either a token or a jti")
        return self


@router.post("/api/bans", status_code=201, responses=documented(*ADMIN_REASONS, "not_found", "own_account", "invalid"))
async def create_ban(body: NewBan, backends: Parts, own: Passed, who: Administrator) -> BanBody:
    """Ban a user (sockets close with 4503) or an address (4504). Durable before anybody is disconnected."""
    until = None if body.seconds is None else time.time() + body.seconds
    kind, value = await _banned(body, backends, own, who.identity.user)
    ban = await backends.store.add_ban(kind, value, until, body.reason, who.identity.user)
    SECURITY.info("banned", extra={"kind": kind, "value": value, "until": until, "by": who.identity.user})
    revocation = (
        Revocation(RevocationKind.USER, value, "account_banned")
        if kind is BanKind.USER
        else Revocation(RevocationKind.ADDRESS, value, "ip_banned")
    )
    await backends.broker.revoke(revocation)
    return _body(ban)


@router.get("/api/bans", responses=documented(*ADMIN_REASONS))
async def bans(backends: Parts, _who: Administrator) -> Bans:
    """All bans that are in force."""
    now = time.time()
    found = await backends.store.bans()
    return Bans(bans=[_body(ban) for ban in found if ban.until is None or ban.until > now])


@router.delete("/api/bans/{id}", status_code=204, responses=documented(*ADMIN_REASONS, "not_found", "invalid"))
async def lift_ban(id: int, backends: Parts, who: Administrator) -> None:  # noqa: A002 - the path's word
    """Lift a ban."""
    if not 0 < id < 1 << 63 or not await backends.store.lift_ban(id):
        raise Refused("not_found")
    SECURITY.info("ban_lifted", extra={"ban": id, "by": who.identity.user})


@router.post("/api/revocations", status_code=204, responses=documented(*ADMIN_REASONS, "invalid"))
async def revoke(body: NewRevocation, backends: Parts, who: Administrator) -> None:
    """Revoke an access token or a ticket: refused from now on, its sockets closed with code 4501."""
    if body.jti is not None:
        token_id, expires_at = body.jti, time.time() + _UNKNOWN_LIFETIME
    else:
        claims = await _claims(backends.auth, body.token or "")
        if claims is None:
            return
        token_id, expires_at = claims.token_id, claims.expires_at
        if claims.use is Use.TICKET:
            await backends.store.use_ticket(token_id, expires_at)
    await backends.store.revoke_token(token_id, expires_at)
    SECURITY.info("token_revoked", extra={"token_id": token_id, "by": who.identity.user})
    await backends.broker.revoke(Revocation(RevocationKind.TOKEN, token_id, "revoked"))


async def _claims(auth: Auth, token: str) -> Claims | None:
    """None for a token that has expired: nothing is left to revoke. Raises Refused for one that is not valid."""
    answer = await auth.verify(token)
    if isinstance(answer, Claims):
        return answer
    if answer is Reason.TOKEN_EXPIRED:
        return None
    if answer is Reason.BACKEND_DOWN:
        raise Refused(answer, 2.0)
    error = "is not a valid token of ours or of a known issuer"
    raise Refused("invalid", detail=f"token {error}.", errors=[{"field": "token", "error": error}])


async def _banned(body: NewBan, backends: Backends, own: ClientAddress, by: UserName) -> tuple[BanKind, str]:
    """Whom the ban is for. An administrator cannot ban themself: nobody might be left to lift it."""
    if body.user is not None:
        if body.user == by:
            raise Refused("own_account")
        if await backends.store.account(UserName(body.user)) is None:
            raise Refused("not_found")
        return BanKind.USER, body.user
    address = parse_address(body.address or "")
    if address is None:
        error = "is not an IPv4 or IPv6 address"
        raise Refused("invalid", detail=f"address {error}.", errors=[{"field": "address", "error": error}])
    if address.limited == own.limited:
        raise Refused("own_account")
    return BanKind.ADDRESS, address.limited


def _body(ban: Ban) -> BanBody:
    return BanBody(
        id=ban.id,
        kind=ban.kind,
        value=ban.value,
        until=ban.until,
        reason=ban.reason,
        by=ban.by,
        created_at=ban.created_at,
    )
