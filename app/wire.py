"""One WebSocket on the wire: uvicorn's protocol, plus the seam through which built frames are written directly."""

from __future__ import annotations

import asyncio
from asyncio import BaseTransport
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from app.verdict import CLOSES, CloseCode

EXTENSION: Final = "portcullis.wire"
MALFORMED: Final = "portcullis.malformed"
LINGER: Final = 2.0
"""Seconds that a peer has to answer a close frame, or to read what is left, before the transport is aborted."""


def _unmetered() -> None:
    """Before the accept no frame reaches the application."""


class Wire(WebSocketsSansIOProtocol):
    """Implements `app.connection.Wire`; the ASGI scope carries it under `extensions["portcullis.wire"]`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.meter: Callable[[], None] = _unmetered

    def connection_made(self, transport: BaseTransport) -> None:
        """Whoever waits for the reader waits until nothing is waiting: any mark above might be above an outbox."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)

    def write(self, data: bytes) -> None:
        """Append whole frames; nothing after the close frame."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(data)

    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self.transport.get_write_buffer_size()

    async def drained(self) -> bool:
        """Wait until the kernel has taken everything; False when the peer is gone."""
        await self.writable.wait()
        return not self.disconnected

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; abort when the peer has not answered within two seconds."""
        if self.close_sent or self.transport.is_closing() or self.conn.state is not State.OPEN:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        # What came before the close and was not handled yet is not handled any more, or a flood would be judged anew.
        while not self.queue.empty():
            self.queue.get_nowait()
        self._closing(code, reason)

    async def send(self, message: ASGISendEvent) -> None:
        """Let uvicorn know that a refused handshake is complete, or it logs each one as a failure."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True

    def data_received(self, data: bytes) -> None:
        """Answer what the library would not even read as a handshake: too many header fields, or too long ones."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The library's own answer would be neither a problem body nor counted.
            self.conn = ServerProtocol()
            self._handle_malformed(_unread(data))

    def handle_connect(self, event: Request) -> None:
        """Let the application answer a malformed handshake, too, so that it is counted like every refusal."""
        try:
            self.conn.process_request(event)
        except InvalidHandshake:
            self._handle_malformed(event)
        else:
            super().handle_connect(event)
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def handle_cont(self, event: Frame) -> None:
        """A fragment is a frame like any other."""
        self._count()
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """So is a ping, whose pong costs us as much."""
        self._count()
        if not self.close_sent:
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """So is a pong nobody asked for."""
        if self.pending_ping_payload is None or bytes(event.data) != self.pending_ping_payload:
            self._count()
        super().handle_pong(event)

    def handle_close(self, event: Frame) -> None:
        """The peer's close frame ends it, but not before what it has not read is gone."""
        super().handle_close(event)
        self._linger()

    def handle_parser_exception(self) -> None:
        """So does a frame that breaks the protocol, and what comes after it is read and thrown away.

        Closed at once, the edge fails to hand over the rest of a large frame, and with that drops our close frame.
        """
        if not self.close_sent:
            closing = self.conn.close_sent
            assert closing is not None  # noqa: S101
            self.transport.write(b"".join(self.conn.data_to_send()))
            self._closing(closing.code, closing.reason)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def eof_received(self) -> None:
        """So does a peer that will send nothing more: returning None closes the transport."""
        self._linger()

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
        """A peer that answers no ping gets a close frame, and does not get to hold the socket until TCP gives up.

        While a frame waits for its turn nothing is read, so a pong may be waiting behind it: asked again later.
        """
        if self.read_paused and self.ping_timeout is not None:
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        self.pong_timer = None
        self.pending_ping_payload = None
        self.close(CloseCode.INTERNAL, "ping timeout")

    def _count(self) -> None:
        if not self.close_sent:
            self.meter()

    def _linger(self) -> None:
        """A closing transport waits for the peer to read what is left: not for ever."""
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(LINGER, self.transport.abort)

    def _closing(self, code: int, reason: str) -> None:
        self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._linger()

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
            "headers": [
                (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in event.headers.raw_items()
            ],
            "subprotocols": [],
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}, MALFORMED: {}},
        }
        self.queue.put_nowait({"type": "websocket.connect"})
        task: asyncio.Task[None] = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)


def _unread(data: bytes) -> Request:
    """The request as uvicorn writes it out for the library, all at once and in proper lines."""
    head, *lines = data.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    fields = (line.partition(":") for line in lines)
    return Request(head.split(" ")[1], Headers([(name, value.strip()) for name, _, value in fields]))
