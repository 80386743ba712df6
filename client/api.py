"""The server's HTTP side, as far as connecting needs it: JSON in, JSON out, a typed exception for every problem."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from client.errors import Rejected

SOCKET_PATH: Final = "/ws/chat"
_SECONDS: Final = 10.0
_LONGEST: Final = 1 << 20
_SECURE: Final = {"https": True, "wss": True, "http": False, "ws": False}


class Api:
    """One server. `url` is `https://host[:port]` or the socket's `wss://host[:port]/ws/chat`."""

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if (
            parts.scheme not in _SECURE
            or not parts.hostname
            or parts.username
            or parts.path not in ("", "/", SOCKET_PATH)
        ):
            raise ValueError("the address has to be like https://host:port, without a path")
        self._secure = _SECURE[parts.scheme]
        self._host, self._port = parts.hostname, parts.port
        self.tls = (tls or ssl.create_default_context()) if self._secure else None
        self.origin = origin or f"http{'s' * self._secure}://{parts.netloc}"
        self.socket_url = f"ws{'s' * self._secure}://{parts.netloc}{SOCKET_PATH}"
        self.headers = dict(headers or {})

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any], list[str]]:
        """The answer's JSON and its Set-Cookie fields. Raises Rejected, or OSError when there is no answer."""
        sent = {"Accept": "application/json", **self.headers, **(headers or {})}
        content = None if body is None else json.dumps(body)
        if content is not None:
            sent["Content-Type"] = "application/json"
        return await asyncio.to_thread(self._call, method, path, content, sent)

    def _call(
        self, method: str, path: str, content: str | None, headers: Mapping[str, str]
    ) -> tuple[dict[str, Any], list[str]]:
        connection = self._connection()
        try:
            connection.request(method, path, content, headers)
            # An answer that ends with its connection holds the socket of its own.
            with connection.getresponse() as answer:
                given = answer.read(_LONGEST)
            if answer.status >= 300:  # noqa: PLR2004 - nothing here redirects
                raise rejection(answer.status, given, answer.getheader("Retry-After"))
            return decoded(given), answer.headers.get_all("Set-Cookie") or []
        except http.client.HTTPException as error:
            raise ConnectionError(f"no HTTP answer: {type(error).__name__}") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=_SECONDS, context=self.tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)


def rejection(status: int, body: bytes, retry_after: str | None) -> Rejected:
    """What a refused request or handshake says: the problem body's words, else what the status line has."""
    problem = decoded(body)
    reason, wait = problem.get("reason"), problem.get("retry_after", retry_after)
    return Rejected(
        status,
        reason if isinstance(reason, str) else f"http_{status}",
        str(problem.get("detail", "")),
        seconds(wait),
        str(problem.get("request_id", "")),
    )


def seconds(given: Any) -> float | None:
    """A number of seconds as a header or a body has it; None for anything that is none."""
    try:
        wait = float(given)
    except (TypeError, ValueError):
        return None
    return wait if math.isfinite(wait) and wait >= 0 else None


def decoded(body: bytes) -> dict[str, Any]:
    """A JSON object, empty for anything else: a proxy's error page is no problem body."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
