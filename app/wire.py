"""One WebSocket on the wire: uvicorn's protocol, plus the seam through which built frames are written directly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from app.handshake import well_formed
from app.verdict import CLOSES, CloseCode

EXTENSION: Final = "portcullis.wire"
MALFORMED: Final = "portcullis.malformed"
_LINGER: Final = 2.0
"""Seconds that a peer has to answer a close frame, or to read it, before the transport is aborted."""


def _unmetered() -> None:
    """Before the accept no frame reaches the application."""


class Wire(WebSocketsSansIOProtocol):
    """Implements `app.connection.Wire`; the ASGI scope carries it under `extensions["portcullis.wire"]`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.meter: Callable[[], None] = _unmetered

    def write(self, data: bytes) -> None:
        """Append whole frames; nothing after the close frame."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self.transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; abort when the peer has not answered within two seconds."""
        if self.close_sent or self.transport.is_closing() or self.conn.state is not State.OPEN:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._closing(code, reason)

    async def send(self, message: ASGISendEvent) -> None:
        """Let uvicorn know that a refused handshake is complete, or it logs each one as a failure."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True

    def handle_connect(self, event: Request) -> None:
        """Let the application answer a malformed handshake, too, so that it is counted like every refusal."""
        keys = event.headers.get_all("Sec-WebSocket-Key")
        names = ("Connection", "Upgrade", "Sec-WebSocket-Version")
        fields = {name.lower(): ",".join(event.headers.get_all(name)) for name in names}
        if well_formed(fields, keys):
            super().handle_connect(event)
            if self.response.status_code == 101:  # noqa: PLR2004
                self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]
        else:
            self._handle_malformed(event)

    def handle_cont(self, event: Frame) -> None:
        """A fragment is a frame like any other."""
        self.meter()
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """So is a ping, whose pong costs us as much."""
        self.meter()
        if not self.close_sent:
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """So is a pong nobody asked for."""
        if self.pending_ping_payload is None or bytes(event.data) != self.pending_ping_payload:
            self.meter()
        super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message over; text that is not UTF-8 ends the connection (RFC 6455 §8.1)."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.close(CloseCode.BAD_TEXT, CLOSES[CloseCode.BAD_TEXT][0])
                return
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """A peer that answers no ping gets a close frame, and does not get to hold the socket until TCP gives up."""
        self.pong_timer = None
        self.pending_ping_payload = None
        self.close(CloseCode.INTERNAL, "ping timeout")

    def _closing(self, code: int, reason: str) -> None:
        self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_LINGER, self.transport.abort)

    def _handle_malformed(self, event: Request) -> None:
        path, _, query = event.path.partition("?")
        self.request = event
        self.handshake_initiated = True
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "root_path": self.root_path,
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": [(name.encode("ascii"), value.encode("latin-1")) for name, value in event.headers.raw_items()],
            "subprotocols": [],
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}, MALFORMED: {}},
        }
        self.queue.put_nowait({"type": "websocket.connect"})
        task: asyncio.Task[None] = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)
