"""The private listener: `/metrics`, `/live`, `/ready`. It answers nothing else, and nothing else answers these."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from app.backends import Backends
from app.metrics import Unsettled
from app.store import StoreDown

_PATIENCE: Final = 2.0
"""Seconds for the store, however long others may wait for it: who asks wants an answer, and soon."""
_ATTEMPTS: Final = 20
_AGAIN: Final = 0.01
"""Seconds until another worker, which has just started, has made its file."""
_TEXT = b"text/plain; charset=utf-8"
_EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"


async def serve(backends: Backends, scope: Any, send: Any) -> None:
    """Answer one GET."""
    status, kind, body = await _answer(backends, scope["path"] if scope["method"] == "GET" else "")
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(backends: Backends, path: str) -> tuple[int, bytes, bytes]:
    match path:
        case "/metrics":
            return 200, _EXPOSITION, await _exposition(backends)
        case "/live":
            return 200, _TEXT, b"live\n"
        case "/ready":
            problem = await _unready(backends)
            return (200, _TEXT, b"ready\n") if problem is None else (503, _TEXT, f"{problem}\n".encode())
        case _:
            return 404, _TEXT, b"not found\n"


async def _exposition(backends: Backends) -> bytes:
    for _ in range(_ATTEMPTS):
        try:
            return backends.metrics.exposition()
        except Unsettled:
            await asyncio.sleep(_AGAIN)
    return backends.metrics.exposition()


async def _unready(backends: Backends) -> str | None:
    if backends.drain.begun:
        return "draining"
    try:
        async with asyncio.timeout(_PATIENCE):
            await backends.store.ping()
    except (StoreDown, TimeoutError):
        return "the store does not answer"
    return backends.shared.problem()
