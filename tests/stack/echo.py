"""A tiny application behind the edge under test: tells what reached it, echoes frames.

`GET /anything` answers 200 with what arrived, `/api/status/NNN` answers NNN, `/ws/chat` accepts and echoes, and refuses
with 403 and a problem body when the query has `refuse`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "websocket":
        await _socket(scope, receive, send)
    elif scope["type"] == "http":
        await _page(scope, receive, send)


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    path = scope["path"]
    status = int(path.rpartition("/")[2]) if path.startswith("/api/status/") else 200
    headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    told = {"path": path, "query": scope["query_string"].decode(), "headers": headers, "bytes": len(body)}
    own = [(b"content-type", b"application/json"), (b"server", b"echo"), (b"content-security-policy", b"own")]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


async def _socket(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if b"refuse" in scope["query_string"]:
        own = [(b"content-type", b"application/problem+json"), (b"retry-after", b"7")]
        await send({"type": "websocket.http.response.start", "status": 403, "headers": own})
        await send({"type": "websocket.http.response.body", "body": b'{"reason":"origin_forbidden"}'})
        return
    await send({"type": "websocket.accept"})
    headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    await send({"type": "websocket.send", "text": json.dumps(headers)})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})
