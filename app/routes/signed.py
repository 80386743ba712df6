"""The header that says what the logs call a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from app.request_id import HEADER

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_BEGINS: Final = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


def signed(send: Send, request_id: str) -> Send:
    """An ASGI `send` whose answers begin with X-Request-Id: refusals, errors and accepted handshakes alike."""
    own = (HEADER, request_id.encode("ascii"))

    async def signing(message: MutableMapping[str, Any]) -> None:
        if message["type"] in _BEGINS:
            message["headers"] = [*message.get("headers", ()), own]
        await send(message)

    return signing
