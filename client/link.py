"""One WebSocket, from its handshake to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from client.api import Api, rejection
from client.credentials import Proof
from client.errors import Garbled
from client.pace import Pace

SUBPROTOCOL: Final = Subprotocol("chat.v1")
_PING, _PONG, _CLOSING, _OPENING = 5.0, 4.0, 0.5, 10.0
"""Together a peer that is gone is noticed within 10 s."""
_FRAME_BYTES: Final = 1 << 20
_FRAMES_READ_AHEAD: Final = 32


class Link:
    """Sends at the server's pace. `again` is done when frames without an answer have to be sent once more."""

    def __init__(self, socket: ClientConnection, pace: Pace) -> None:
        self.hint: float | None = None
        """Seconds after which the server wants to see this client again."""
        self.again: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reader: asyncio.Task[None] | None = None
        self._socket = socket
        self._pace = pace
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def closed_with(self) -> tuple[int | None, str]:
        """The close code and its reason; None and nothing when there was no close frame."""
        frame = self._socket.protocol.close_rcvd
        return (None, "") if frame is None else (frame.code, frame.reason)

    async def send(self, text: str) -> None:
        """Send in turn. Nothing happens on a connection that is over: `again` tells."""
        await self._pace.turn()
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(text)

    async def frames(self) -> AsyncGenerator[dict[str, Any], None]:
        """What comes, until the connection is over. Raises Garbled for what is no JSON object."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                yield _object(await self._socket.recv())

    def spawn(self, task: asyncio.Task[None]) -> None:
        """Something that ends with the connection, at the latest."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def throttled(self, seconds: float) -> None:
        """The server dropped a frame and did not say which: pause, then send again what has no answer."""
        self._pace.pause(seconds)
        self.again.set_result(None)
        self.again = asyncio.get_running_loop().create_future()

    def drop(self) -> None:
        """Give up on the connection."""
        if self.reader is not None:
            self.reader.cancel()

    async def end(self) -> None:
        """Close, politely where the peer still answers; nothing of it is left afterwards."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self.again.done():
            self.again.set_result(None)
        await self._socket.close()


async def dial(api: Api, proof: Proof, *, proxy: str | Literal[True] | None = None, **options: Any) -> Link:
    """A connection that speaks chat.v1. Raises Rejected for a refusal, OSError when there is no proper answer."""
    if api.tls is not None:
        options = {"ssl": api.tls, **options}
    try:
        socket = await _Connect(
            api.socket_url + proof.query,
            additional_headers={**api.headers, **proof.headers},
            subprotocols=[SUBPROTOCOL],
            compression=None,
            proxy=proxy,
            open_timeout=_OPENING,
            ping_interval=_PING,
            ping_timeout=_PONG,
            close_timeout=_CLOSING,
            max_size=_FRAME_BYTES,
            max_queue=_FRAMES_READ_AHEAD,
            **options,
        )
    except InvalidStatus as refused:
        answer = refused.response
        raise rejection(answer.status_code, bytes(answer.body or b""), answer.headers.get("Retry-After")) from None
    except InvalidHandshake as error:
        raise ConnectionError(f"no proper handshake: {type(error).__name__}") from None
    if socket.subprotocol != SUBPROTOCOL:
        await socket.close()
        raise ConnectionError("the server does not speak chat.v1")
    return Link(socket, Pace())


class _Connect(connect):
    """Follows no redirect: a credential is for the server that it was meant for."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        frame = json.loads(text)
    except ValueError:
        raise Garbled("not JSON") from None
    if not isinstance(frame, dict):
        raise Garbled("not an object")
    return frame
