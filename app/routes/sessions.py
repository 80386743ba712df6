"""Signing in and out, and the sessions that a user has open."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.address import ClientAddress
from app.auth import Authenticated, Presented
from app.backends import Backends
from app.handshake import SESSION_COOKIE
from app.limiter import Charge, Limit, Rate
from app.model import DEFAULT_ROOM, Account, Revocation, RevocationKind, Session, SessionId, UserName
from app.passwords import MAX_CHARACTERS
from app.routes.gate import (
    GATE_REASONS,
    MEMBER_REASONS,
    Member,
    Parts,
    Passed,
    SessionMember,
    session_cookie,
    session_of,
)
from app.routes.problem import Refused, documented
from app.settings import Settings
from app.sign_in import SECURITY, Failure, SignedIn

router = APIRouter(tags=["sessions"])

_SIGN_IN_FAILURES: Final = (
    "credentials_wrong",
    "password_change_required",
    "account_disabled",
    "account_banned",
    "ip_banned",
    "rate_limited",
    "invalid",
    "busy",
)
_BUSY_SECONDS: Final = 1.0

Password = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS, examples=["correct horse battery staple"])]


Id = Annotated[str, Path(max_length=64, examples=["Kd2uV9dYq0c3T0c9yX3m5A"])]


class SignInBody(BaseModel):
    """A name and its password."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64, examples=["alice"])
    password: Password
    new_password: Password | None = Field(
        None, description="The password of one's own that replaces a one-time password."
    )


class PasswordBody(BaseModel):
    """The current password and the one that replaces it."""

    model_config = ConfigDict(extra="forbid")

    password: Password
    new_password: Password


class Limits(BaseModel):
    """What the client may send."""

    message_characters: int = Field(examples=[500])
    frame_bytes: int = Field(examples=[16384])


class SessionBody(BaseModel):
    """The session of this cookie. Times are Unix seconds."""

    name: str = Field(examples=["alice"])
    admin: bool
    session: str = Field(examples=["Kd2uV9dYq0c3T0c9yX3m5A"])
    expires_at: float = Field(examples=[1767268800.0])
    limits: Limits
    rooms: list[str] = Field(examples=[["lobby"]])


class OpenSession(BaseModel):
    """One sign-in of the user. Times are Unix seconds."""

    id: str = Field(examples=["Kd2uV9dYq0c3T0c9yX3m5A"])
    created_at: float = Field(examples=[1767225600.0])
    seen_at: float = Field(examples=[1767229200.0])
    expires_at: float = Field(examples=[1767268800.0])
    agent: str = Field(examples=["Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"])
    address: str = Field(examples=["192.0.2.17"])
    current: bool = Field(description="Whether it is the one that asks.")


class OpenSessions(BaseModel):
    """The user's sessions, oldest first."""

    sessions: list[OpenSession]


@router.post("/api/session", responses=documented(*GATE_REASONS, *_SIGN_IN_FAILURES))
async def sign_in(
    body: SignInBody,
    request: Request,
    response: Response,
    backends: Parts,
    address: Passed,
    user_agent: Annotated[str, Header(include_in_schema=False)] = "",
) -> SessionBody:
    """Sign in. The session is in the `__Host-session` cookie and nowhere else; a session that the client had ends.

    The answer to an unknown name is the one to a wrong password.
    """
    await _charge(backends, body.name, address)
    answer = await backends.auth.sign_ins.open(body.name, body.password, body.new_password, user_agent, address)
    backends.metrics.sign_ins.labels(answer if isinstance(answer, Failure) else "accepted").inc()
    if isinstance(answer, Failure):
        raise _refused(answer)
    await _end_presented(backends, session_cookie(request.headers), address)
    _set_cookie(response, answer, backends.settings)
    return _body(answer.account, answer.session.id, answer.session.expires_at, backends.settings)


@router.get("/api/session", responses=documented(*MEMBER_REASONS))
async def current_session(backends: Parts, who: SessionMember) -> SessionBody:
    """Who is signed in with this cookie, and the limits that hold for them."""
    return _body(who.account, session_of(who), who.identity.expires_at, backends.settings)


@router.delete("/api/session", status_code=204, responses=documented(*MEMBER_REASONS))
async def sign_out(response: Response, backends: Parts, who: SessionMember) -> None:
    """Sign out: the session and everything that descends from it end, live sockets with code 4501."""
    await _end(backends, who.identity.user, session_of(who))
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    SECURITY.info("sign_out", extra={"user": who.identity.user, "session": who.identity.session})


@router.get("/api/sessions", responses=documented(*MEMBER_REASONS))
async def own_sessions(backends: Parts, who: Member) -> OpenSessions:
    """The user's own sessions that are neither ended nor expired."""
    found = await backends.store.sessions(who.identity.user)
    live = [_listed(session, who) for session in found if backends.auth.session_live(session)]
    return OpenSessions(sessions=live)


@router.delete("/api/sessions/{id}", status_code=204, responses=documented(*MEMBER_REASONS, "not_found", "invalid"))
async def end_own_session(id: Id, backends: Parts, who: Member) -> None:  # noqa: A002 - the path's word
    """End one of the user's own sessions; its sockets are closed with code 4501."""
    if not await _end(backends, who.identity.user, SessionId(id)):
        raise Refused("not_found")
    SECURITY.info("session_ended", extra={"user": who.identity.user, "session": id})


@router.post(
    "/api/password",
    status_code=204,
    responses=documented(*MEMBER_REASONS, "credentials_wrong", "rate_limited", "invalid", "busy"),
)
async def change_password(body: PasswordBody, backends: Parts, address: Passed, who: SessionMember) -> None:
    """Change the password. The user's other sessions end, and their sockets are closed with code 4501."""
    await _charge(backends, who.identity.user, address)
    answer = await backends.auth.sign_ins.change_password(who.identity, body.password, body.new_password)
    if isinstance(answer, Failure):
        raise _refused(answer)
    await revoke_sessions(backends, answer)


async def revoke_sessions(backends: Backends, ended: list[SessionId]) -> None:
    """Close the sockets of sessions that have ended in the store already."""
    for session in ended:
        await backends.broker.revoke(Revocation(RevocationKind.SESSION, session, "revoked"))


async def _charge(backends: Backends, name: str, address: ClientAddress) -> None:
    """Count an attempt before any hashing. Never by the account alone: that would lock its owner out."""
    pair, single = (
        backends.settings.sign_ins_per_account_and_address_per_minute,
        backends.settings.sign_ins_per_address_per_minute,
    )
    throttle = await backends.limiter.hit(
        [
            Charge(Limit.SIGN_INS_PER_ACCOUNT, f"{name}|{address.limited}", Rate(pair / 60, pair)),
            Charge(Limit.SIGN_INS_PER_ADDRESS, address.limited, Rate(single / 60, single)),
        ]
    )
    if throttle is not None:
        backends.metrics.sign_ins.labels(throttle.limit).inc()
        SECURITY.info("sign_in_throttled", extra={"address": address.full, "limit": throttle.limit})
        raise Refused("rate_limited", throttle.retry_after, limit=throttle.limit)


def _refused(failure: Failure) -> Refused:
    match failure:
        case Failure.PASSWORD_UNFIT:
            return _unfit("must be long enough, and neither the old password nor the name")
        case Failure.CHANGE_UNEXPECTED:
            return _unfit("is only for one-time passwords; change others when signed in")
        case Failure.BUSY:
            return Refused("busy", _BUSY_SECONDS)
        case _:
            return Refused(failure)


def _unfit(error: str) -> Refused:
    return Refused("invalid", detail=f"new_password {error}.", errors=[{"field": "new_password", "error": error}])


async def _end(backends: Backends, user: UserName, session: SessionId) -> bool:
    ended = await backends.store.end_session(user, session)
    if ended:
        await revoke_sessions(backends, [session])
    return ended


async def _end_presented(backends: Backends, cookie: str | None, address: ClientAddress) -> None:
    """The session that a browser had before it signed in again must not live on beside the new one."""
    if cookie is None:
        return
    before = await backends.auth.authenticate(Presented("cookie", cookie), address.limited, consume=False)
    if isinstance(before, Authenticated):
        await _end(backends, before.identity.user, session_of(before))


def _set_cookie(response: Response, signed_in: SignedIn, settings: Settings) -> None:
    """The `__Host-` prefix makes browsers insist on Secure, `Path=/` and no Domain (RFC 6265bis §4.1.3.2)."""
    response.set_cookie(
        SESSION_COOKIE,
        signed_in.cookie,
        max_age=int(settings.session_absolute_seconds),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )


def _body(account: Account, session: SessionId, expires_at: float, settings: Settings) -> SessionBody:
    limits = Limits(message_characters=settings.message_characters, frame_bytes=settings.frame_bytes)
    return SessionBody(
        name=account.name,
        admin=account.admin,
        session=session,
        expires_at=expires_at,
        limits=limits,
        rooms=[DEFAULT_ROOM],
    )


def _listed(session: Session, who: Authenticated) -> OpenSession:
    return OpenSession(
        id=session.id,
        created_at=session.created_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
        agent=session.agent,
        address=session.address,
        current=session.id == who.identity.session,
    )
