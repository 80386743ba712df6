"""What every HTTP route asks before it does anything: host, client address, origin, and who it is."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request, Response
from starlette.datastructures import Headers

from app.address import ClientAddress, client_address
from app.auth import Authenticated, Presented, standing_reason
from app.backends import Backends
from app.handshake import SESSION_COOKIE, host_name
from app.model import Credential, SessionId
from app.routes.problem import Refused
from app.verdict import Reason

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_RETRY_SECONDS: Final = 2.0
GATE_REASONS: Final = ("host_unknown", "handshake_invalid", "origin_forbidden", "backend_down", "internal")
"""What any route may be refused for."""
MEMBER_REASONS: Final = (
    *GATE_REASONS,
    "credential_missing",
    "token_invalid",
    "token_expired",
    "token_revoked",
    "account_disabled",
    "account_banned",
    "ip_banned",
)
"""What a route for signed-in users may be refused for."""


def backends_of(request: Request) -> Backends:
    """The parts of this process."""
    backends: Backends = request.app.state.backends
    return backends


Parts = Annotated[Backends, Depends(backends_of)]


def passed(request: Request, response: Response, backends: Parts) -> ClientAddress:
    """The client's address, once host, address and origin are in order; raises Refused.

    An unsafe method needs an allowed Origin when a browser may have added the cookie by itself, and a foreign Origin
    is refused even without one.
    """
    settings = backends.settings
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or host_name(hosts[0]) not in settings.hosts:
        raise Refused(Reason.HOST_UNKNOWN)
    address = client_address(request.scope, settings)
    if address is None:
        raise Refused(Reason.HANDSHAKE_INVALID, detail="The request did not come through the edge.")
    if request.method not in _SAFE and not _origin_allowed(request.headers, settings.origins):
        raise Refused(Reason.ORIGIN_FORBIDDEN)
    response.headers["Cache-Control"] = "no-store"
    return address


Passed = Annotated[ClientAddress, Depends(passed)]


async def member(request: Request, backends: Parts, address: Passed) -> Authenticated:
    """Whoever sends a session cookie or an access token, in good standing; raises Refused."""
    authorization = request.headers.getlist("authorization")
    if not authorization:
        return await with_session(request, backends, address)
    scheme, _, token = authorization[0].partition(" ")
    if len(authorization) > 1 or scheme.lower() != "bearer":
        raise Refused(Reason.TOKEN_INVALID)
    return await _authenticated(backends, Presented("bearer", token.strip()), address)


async def with_session(request: Request, backends: Parts, address: Passed) -> Authenticated:
    """Whoever sends the session cookie, in good standing; raises Refused."""
    cookie = session_cookie(request.headers)
    if cookie is None:
        raise Refused(Reason.CREDENTIAL_MISSING)
    return await _authenticated(backends, Presented("cookie", cookie), address)


Member = Annotated[Authenticated, Depends(member)]
SessionMember = Annotated[Authenticated, Depends(with_session)]


def administrator(who: Member) -> Authenticated:
    """A member whose account is an administrator's; raises Refused."""
    if not who.account.admin:
        raise Refused("admin_required")
    return who


Administrator = Annotated[Authenticated, Depends(administrator)]


def session_cookie(headers: Headers) -> str | None:
    """The session cookie's value, None without one; one that comes twice is empty, which no session's value is."""
    pairs = (pair.strip().partition("=") for line in headers.getlist("cookie") for pair in line.split(";"))
    values = [value for name, _, value in pairs if name == SESSION_COOKIE]
    if not values:
        return None
    return values[0] if len(values) == 1 else ""


def session_of(who: Authenticated) -> SessionId:
    """The session of a member who came with its cookie."""
    session = who.identity.session
    assert session is not None  # noqa: S101 - with_session lets nobody else through
    return session


def _origin_allowed(headers: Headers, origins: tuple[str, ...]) -> bool:
    given = headers.getlist("origin")
    if not given:
        return session_cookie(headers) is None
    return len(given) == 1 and given[0] in origins


async def _authenticated(backends: Backends, presented: Presented, address: ClientAddress) -> Authenticated:
    """A ticket opens a socket and nothing else, so it is none of the credentials here."""
    answer = await backends.auth.authenticate(presented, address.limited, consume=False)
    if isinstance(answer, Reason):
        raise Refused(answer, _RETRY_SECONDS if answer is Reason.BACKEND_DOWN else None)
    ticket = answer.identity.credential is Credential.TICKET
    reason = Reason.TOKEN_INVALID if ticket else standing_reason(answer)
    if reason is not None:
        raise Refused(reason)
    return answer
