"""An external identity provider: a real HTTP server with a key set, and tokens signed by its keys."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Provider:
    """What it publishes, how it answers, and how often it was asked."""

    url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    body: bytes | None = None
    """Sent instead of the key set."""
    status: int = 200
    location: str | None = None
    asked: int = 0
    release: threading.Event | None = None
    """The answer waits for it."""
    dribbles: bool = False
    """The answer comes byte by byte, for as long as anybody reads it."""

    def add(self, kid: str | None, key: Private, **more: Any) -> None:
        """Publish a key."""
        jwk = public(key) | more
        self.keys.append(jwk if kid is None else jwk | {"kid": kid})


def public(key: Private) -> dict[str, Any]:
    """A key's public JWK."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return dict(ECAlgorithm.to_jwk(key.public_key(), as_dict=True))
    if isinstance(key, rsa.RSAPrivateKey):
        return dict(RSAAlgorithm.to_jwk(key.public_key(), as_dict=True))
    return dict(OKPAlgorithm.to_jwk(key.public_key(), as_dict=True))


def token(key: Private, kid: str | None, algorithm: str = "ES256", **claims: Any) -> str:
    """A token as the provider signs them; claims of None are left out."""
    now = int(time.time())
    made = {
        "iss": "https://idp.example",
        "aud": "chat",
        "sub": "u-1",
        "iat": now,
        "exp": now + 120,
        "preferred_username": "erin",
        **claims,
    }
    payload = {name: value for name, value in made.items() if value is not None}
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(payload, key, algorithm, headers=headers)


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """A provider on a port of its own."""
    state = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            if state.release is not None:
                state.release.wait(10)
            self.send_response(state.status)
            if state.location is not None:
                self.send_header("Location", state.location)
            self.end_headers()
            with contextlib.suppress(OSError):
                while state.dribbles:
                    self.wfile.write(b" ")
                    time.sleep(0.01)
                self.wfile.write(json.dumps({"keys": state.keys}).encode() if state.body is None else state.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}/jwks"
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
