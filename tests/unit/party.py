"""A whole server in this process, asked over ASGI as the edge would ask: for tests of the HTTP API."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.backends import Backends, build, opened
from app.issuer import Issuer
from app.keys import create_key
from app.main import Portcullis
from app.model import Revocation, UserName
from app.settings import Settings
from app.store import Store

ORIGIN = "https://localhost:8443"
PASSWORD = "correct horse battery"
ADDRESS = "192.0.2.1"


class SharedClock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@dataclass
class Party:
    """The server, its parts, and what it told the connections."""

    backends: Backends
    app: Portcullis
    revoked: list[Revocation] = field(default_factory=list)

    def client(
        self, address: str | None = ADDRESS, *, origin: str | None = ORIGIN, **headers: str
    ) -> httpx.AsyncClient:
        """A browser at that address."""
        sent = {} if address is None else {"X-Real-IP": address}
        if origin is not None:
            sent["Origin"] = origin
        # A Unix socket's peer has no address.
        transport = httpx.ASGITransport(self.app, client=None)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={**sent, **headers})

    async def account(self, name: str, *, admin: bool = False, one_time: bool = False) -> None:
        """Create an account with PASSWORD."""
        password_hash = await self.backends.auth.passwords.hash(PASSWORD)
        created = await self.backends.store.create_account(
            UserName(name), password_hash, admin=admin, one_time=one_time
        )
        assert created

    async def signed_in(self, name: str, address: str = ADDRESS) -> httpx.AsyncClient:
        """A browser that has signed in."""
        client = self.client(address)
        answer = await client.post("/api/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client


@contextlib.asynccontextmanager
async def party(folder: Path, **settings: Any) -> AsyncIterator[Party]:
    """A server with a database and keys of its own in the folder."""
    (folder / "data").mkdir(mode=0o700)
    create_key(folder / "secrets" / "signing")
    chosen = Settings(state=folder, **settings)
    Store.migrate(chosen.database)
    backends = build(chosen)
    server = Party(backends, Portcullis(backends))
    broker = backends.broker

    async def revoke(revocation: Revocation, inner: Any = broker.revoke) -> None:
        server.revoked.append(revocation)
        await inner(revocation)

    broker.revoke = revoke  # type: ignore[method-assign]
    async with opened(backends):
        yield server


def external(url: str, **more: Any) -> Issuer:
    """An external issuer whose keys are at that address."""
    return Issuer(issuer="https://idp.example", audience="chat", jwks_url=url, **more)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and reason of a refusal, once it is a proper problem body (RFC 9457)."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:portcullis:reason:{body['reason']}"
    assert body["title"] and body["detail"]
    if "retry_after" in body:
        assert int(answer.headers["retry-after"]) >= body["retry_after"]
    assert (answer.status_code == 401) == ("www-authenticate" in answer.headers)
    return answer.status_code, body["reason"]


def canary() -> str:
    """A word that must come back nowhere."""
    return f"canary{secrets.token_hex(8)}"
