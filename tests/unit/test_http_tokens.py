"""Access tokens, tickets and the published keys over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from app.auth import Presented
from app.model import Address, BanKind, UserName
from tests.unit.party import ADDRESS, Party, party, problem


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Party]:
    async with party(tmp_path) as server:
        await server.account("alice")
        yield server


async def test_token_and_its_uses(server: Party) -> None:
    """A cookie gets a token; the token lists sessions, gets tickets, but no further tokens."""
    client = await server.signed_in("alice")
    answer = await client.post("/api/tokens")
    assert answer.status_code == 201
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 300
    assert answer.headers["cache-control"] == "no-store"
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    async with server.client(origin=None) as script:
        assert (await script.get("/api/sessions", headers=bearer)).status_code == 200
        assert (await script.post("/api/tickets", headers=bearer)).status_code == 201
        assert problem(await script.post("/api/tokens", headers=bearer)) == (401, "credential_missing")
        assert problem(await script.get("/api/session", headers=bearer)) == (401, "credential_missing")


async def test_a_token_ends_with_its_session(tmp_path: Path) -> None:
    """To the second: a socket that goes by one is not closed while the session would still let it in again."""
    async with party(tmp_path, session_absolute_seconds=60) as server:
        await server.account("alice")
        client = await server.signed_in("alice")
        ends = (await client.get("/api/session")).json()["expires_at"]
        token = (await client.post("/api/tokens")).json()["access_token"]
        assert jwt.decode(token, options={"verify_signature": False})["exp"] == ends


async def test_tokens_need_the_origin(server: Party) -> None:
    """A foreign page cannot have one made."""
    client = await server.signed_in("alice")
    answer = await client.post("/api/tokens", headers={"Origin": "https://evil.example"})
    assert problem(answer) == (403, "origin_forbidden")


async def test_tickets_are_no_credential_for_http(server: Party) -> None:
    """A ticket caught in a log opens no API and cannot be renewed."""
    client = await server.signed_in("alice")
    answer = await client.post("/api/tickets")
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 30)
    bearer = {"Authorization": f"Bearer {answer.json()['ticket']}"}
    async with server.client(origin=None) as thief:
        assert problem(await thief.get("/api/sessions", headers=bearer)) == (401, "token_invalid")
        assert problem(await thief.post("/api/tickets", headers=bearer)) == (401, "token_invalid")
        address = {"token": answer.json()["ticket"]}
        assert problem(await thief.post("/api/tickets", params=address)) == (401, "token_invalid")
    used = await server.backends.auth.authenticate(
        Presented("url", answer.json()["ticket"]), Address(ADDRESS), consume=True
    )
    assert not isinstance(used, str)


async def test_tickets_tell_why_a_handshake_would_fail(server: Party) -> None:
    """Every gate that a handshake passes, with its status, reason and wait."""
    store, limiter, user = server.backends.store, server.backends.limiter, UserName("alice")
    client = await server.signed_in("alice")
    async with server.client() as stranger:
        assert problem(await stranger.post("/api/tickets")) == (401, "credential_missing")
    foreign = await client.post("/api/tickets", headers={"Origin": "https://evil.example"})
    assert problem(foreign) == (403, "origin_forbidden")
    assert problem(await client.post("/api/tickets", headers={"Host": "evil"})) == (400, "host_unknown")
    while not await limiter.strike(user):
        pass
    cooling = await client.post("/api/tickets")
    assert problem(cooling) == (429, "user_cooldown")
    assert 25 < cooling.json()["retry_after"] <= 30
    await store.add_ban(BanKind.USER, user, None, "", UserName("admin"))
    assert problem(await client.post("/api/tickets")) == (403, "account_banned")
    await store.close()
    assert problem(await client.post("/api/tickets")) == (503, "backend_down")


async def test_published_keys_verify_tokens(server: Party) -> None:
    """Anybody may fetch them; they may be kept for a minute."""
    client = await server.signed_in("alice")
    token = (await client.post("/api/tokens")).json()["access_token"]
    async with server.client(origin=None) as anybody:
        answer = await anybody.get("/.well-known/jwks.json")
    (jwk,) = answer.json()["keys"]
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert set(jwk) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert jwt.decode(token, jwt.PyJWK(jwk), algorithms=["ES256"], audience="portcullis")["sub"] == "alice"
