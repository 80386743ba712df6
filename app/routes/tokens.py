"""Access tokens and tickets for those who are signed in, and the keys that verify them."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app.model import Credential
from app.routes.gate import GATE_REASONS, MEMBER_REASONS, Parts, Passed, SessionMember
from app.routes.problem import documented, refusal_problem
from app.verdict import Reason, Refusal

router = APIRouter(tags=["tokens"])

_JWKS_SECONDS: Final = 60


class AccessToken(BaseModel):
    """An access token (RFC 6750), for clients that cannot send the cookie."""

    access_token: str = Field(examples=["eyJhbGciOiJFUzI1NiIsImtpZCI6…"])
    token_type: str = Field("Bearer", examples=["Bearer"])
    expires_in: float = Field(description="Seconds to live.", examples=[300.0])


class Ticket(BaseModel):
    """A ticket for one handshake, made to travel in its URL."""

    ticket: str = Field(examples=["eyJhbGciOiJFUzI1NiIsImtpZCI6…"])
    expires_in: float = Field(description="Seconds to live.", examples=[30.0])


class KeySet(BaseModel):
    """A JWK Set (RFC 7517 §5) with the newest key first."""

    keys: list[dict[str, str]] = Field(
        examples=[[{"kty": "EC", "crv": "P-256", "x": "…", "y": "…", "kid": "…", "alg": "ES256", "use": "sig"}]]
    )


@router.post("/api/tokens", status_code=201, responses=documented(*MEMBER_REASONS))
async def create_token(backends: Parts, who: SessionMember) -> AccessToken:
    """A short-lived access token for the signed-in user. It ends with the session that it was made from."""
    token, seconds = backends.auth.access_token(who.identity)
    return AccessToken(access_token=token, token_type="Bearer", expires_in=seconds)  # noqa: S106


@router.post("/api/tickets", status_code=201, response_model=Ticket, responses=documented(*Reason))
async def create_ticket(request: Request, response: Response, backends: Parts) -> Any:
    """A single-use ticket for `/ws/chat?token=…`, or the very refusal that a handshake would get now.

    A browser cannot read why a handshake failed; here it can. Every gate is asked, nothing is charged or leased.
    """
    verdict = await backends.doorman.inspect(request.scope)
    if isinstance(verdict, Refusal):
        return refusal_problem(verdict)
    if verdict.identity.credential is Credential.TICKET:
        # Else one ticket, caught in a log, could be renewed for as long as its session lives.
        return refusal_problem(Refusal(Reason.TOKEN_INVALID))
    ticket, seconds = backends.auth.ticket(verdict.identity)
    response.headers["Cache-Control"] = "no-store"
    return Ticket(ticket=ticket, expires_in=seconds)


@router.get("/.well-known/jwks.json", response_model=KeySet, responses=documented(*GATE_REASONS))
async def key_set(backends: Parts, _address: Passed) -> JSONResponse:
    """The public keys that verify our access tokens. Fetch again when a token names an unknown `kid`."""
    headers = {"Cache-Control": f"public, max-age={_JWKS_SECONDS}"}
    return JSONResponse(backends.auth.jwks(), headers=headers)
