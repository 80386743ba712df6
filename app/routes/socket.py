"""`/ws/chat`: a plain ASGI endpoint, since a WebSocket object per connection costs half the handshake's time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from app.address import client_address
from app.backends import Backends
from app.connection import Connection
from app.handshake import Admitted
from app.model import ConnectionId
from app.protocol import SUBPROTOCOL, Profile
from app.routes.problem import not_found_body, refusal_body
from app.verdict import Refusal, close_label

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH: Final = "/ws/chat"
_log = logging.getLogger("portcullis.connection")
_NORMAL, _ABNORMAL, _NO_STATUS = 1000, 1006, 1005


async def serve(backends: Backends, scope: Message, receive: Receive, send: Send) -> None:
    """One WebSocket, from its handshake to its canonical log line."""
    await receive()
    if scope["path"] != PATH:
        return await _deny(send, *not_found_body())
    connection_id = ConnectionId(secrets.token_hex(8))
    verdict = await backends.doorman.judge(scope, connection_id)
    if isinstance(verdict, Refusal):
        _refused_line(backends, scope, verdict)
        return await _deny(send, *refusal_body(verdict))
    try:
        await send({"type": "websocket.accept", "subprotocol": _answered(verdict)})
        await _converse(backends, _connection(backends, scope, connection_id, verdict), scope, receive)
    finally:
        await backends.presence.release(connection_id)
    return None


def _answered(verdict: Admitted) -> str | None:
    return SUBPROTOCOL if verdict.profile is Profile.CHAT_V1 else None


def _connection(backends: Backends, scope: Message, connection_id: ConnectionId, verdict: Admitted) -> Connection:
    wire = scope["extensions"]["portcullis.wire"]
    connection = Connection(
        connection_id,
        verdict.identity,
        verdict.address,
        verdict.profile,
        wire,
        backends.settings,
        backends.metrics,
    )
    loop = asyncio.get_running_loop()

    def meter() -> None:
        if connection.frames.hit(time.monotonic()) > 0:
            backends.background(loop.create_task(backends.chat.meter(connection)))

    wire.meter = meter
    return connection


async def _converse(backends: Backends, connection: Connection, scope: Message, receive: Receive) -> None:
    backends.hub.add(connection)
    code = _ABNORMAL
    try:
        await backends.chat.welcome(connection)
        code = await _read(backends, connection, receive)
    finally:
        await backends.chat.goodbye(connection, said_so=code == _NORMAL)
        _close_line(backends, connection, scope, code)


async def _read(backends: Backends, connection: Connection, receive: Receive) -> int:
    """Handle frames until the connection is over; returns the close code."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = int(message.get("code") or _NO_STATUS)
            return _ABNORMAL if code == _NO_STATUS else code
        text = message.get("text")
        if text is None:
            backends.chat.handle_binary(connection)
        else:
            await backends.chat.handle(connection, text)


def _refused_line(backends: Backends, scope: Message, refusal: Refusal) -> None:
    address = client_address(scope, backends.settings)
    line = {
        "reason": refusal.reason,
        "address": address and address.full,
        "origin": _header(scope, b"origin"),
    }
    _log.info("handshake_refused", extra=line if refusal.why is None else line | {"why": refusal.why})


def _close_line(backends: Backends, connection: Connection, scope: Message, code: int) -> None:
    """The one line that tells a connection's whole story, and its metrics."""
    code = connection.close_code or code
    seconds = time.time() - connection.opened_at
    backends.metrics.closes.labels(close_label(code)).inc()
    backends.metrics.connection_seconds.observe(seconds)
    _log.info(
        "connection_closed",
        extra={
            "connection": connection.id,
            "user": connection.identity.user,
            "credential": connection.identity.credential,
            "session": connection.identity.session,
            "address": connection.address.full,
            "origin": _header(scope, b"origin"),
            "profile": connection.profile,
            "code": code,
            "seconds": round(seconds, 3),
            "received": connection.received,
            "posts": connection.posts,
            "throttled": connection.throttled,
        },
    )


def _header(scope: Message, name: bytes) -> str | None:
    return next((value.decode("latin-1")[:200] for key, value in scope["headers"] if key.lower() == name), None)


async def _deny(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Refuse before the accept, with a body that non-browser clients can read (ASGI denial response)."""
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
