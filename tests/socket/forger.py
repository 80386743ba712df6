"""Credentials of every kind, right ones and wrong ones, and what a server says to them."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import jwt

from app.keys import open_keys
from tests.socket.server import ORIGIN, Server, new_address, new_name


@dataclass
class Forger:
    """Makes tokens that are right but for what a test changes."""

    server: Server
    subject: str

    def token(self, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        """Claims of None are left out."""
        settings = self.server.load()
        signer = open_keys(settings).signer()
        now = int(time.time())
        claims = {
            "iss": settings.issuer,
            "aud": settings.audience,
            "sub": self.subject,
            "iat": now,
            "nbf": now,
            "exp": now + 60,
            "jti": new_name(),
            "use": "access",
        } | changes
        present = {name: value for name, value in claims.items() if value is not None}
        fields = {"alg": "ES256", "kid": signer.kid, "typ": "at+jwt"} | (header or {})
        return jwt.encode(present, key or signer.private, fields["alg"], headers=fields)

    def by_hand(self, header: dict[str, Any], sign: Any = None) -> str:
        """A token with any header; `sign` makes the signature of what is signed."""
        payload = self.token().split(".")[1]
        signed = f"{_base64(json.dumps(header).encode())}.{payload}"
        return f"{signed}.{_base64(sign(signed.encode())) if sign else ''}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def reason(server: Server, token: str | None, **options: Any) -> str:
    """The reason that refuses a handshake with this token, from an address of its own."""
    refused = await server.refused(token, **{"address": new_address(), **options})
    assert refused.status == 401
    if token:
        assert token not in json.dumps(refused.body)
    return refused.reason


def far(seconds: int) -> int:
    """Unix seconds, so far from now."""
    return int(time.time()) + seconds


def ask_ticket(server: Server, headers: dict[str, str], address: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, answered, body = server.get(
        "/api/tickets", method="POST", headers={"Origin": ORIGIN, **headers}, address=address
    )
    return status, answered, json.loads(body)
