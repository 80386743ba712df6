"""A WebSocket (RFC 6455) of a process that has thousands: `websockets`' Sans-I/O protocol on a socket of gevent's.

The same library's own client has a thread and several locks for each connection: with 2,000 connections that hear one
message a second, one processor was too slow for it to answer pings in time.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Self

from gevent.lock import RLock
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

_AT_ONCE: Final = 65_536
_NARROW: Final = 2_048
_NORMAL: Final = 1000
_MOST: Final = 1 << 20
"""Bytes of a message: the server's longest frames are pages of history."""


class Wire:
    """An accepted connection: one greenlet receives, any may send."""

    def __init__(self, plain: ssl.SSLSocket, protocol: ClientProtocol, seconds: float, *, narrow: bool) -> None:
        self.socket = plain
        self._protocol = protocol
        self._seconds = seconds
        self._at_once = _NARROW if narrow else _AT_ONCE
        self._frames: deque[Frame] = deque()
        self._parts: list[bytes] = []
        self._sending = RLock()

    @classmethod
    def open(
        cls,
        url: str,
        plain: socket.socket,
        tls: ssl.SSLContext,
        headers: Mapping[str, str],
        subprotocols: Sequence[str],
        seconds: float,
        *,
        narrow: bool = False,
    ) -> Self:
        """TLS and the handshake on a connection that is there; each step, and a close, may take `seconds`.

        Raises InvalidStatus, with its body, for a refusal, another InvalidHandshake, or OSError; it is closed then.
        """
        uri = parse_uri(url)
        protocol = ClientProtocol(uri, subprotocols=[Subprotocol(one) for one in subprotocols] or None, max_size=_MOST)
        try:
            plain.settimeout(seconds)
            # Else a frame waits until the one before it is acknowledged, which the other end takes 40 ms for.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            made = cls(tls.wrap_socket(plain, server_hostname=uri.host), protocol, seconds, narrow=narrow)
            plain = made.socket
            made._shake_hands(headers)
        except BaseException:
            plain.close()
            raise
        made.socket.settimeout(None)
        return made

    def send(self, message: str | bytes) -> None:
        """Send one message. Raises OSError when the connection is over, or about to be."""
        with self._sending:
            if self._protocol.state is not State.OPEN:
                raise BrokenPipeError
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
            self._flush()

    def recv(self) -> str:
        """The next message; pings are answered meanwhile. Raises ConnectionClosed at the end, or OSError."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if frame.opcode in (Opcode.TEXT, Opcode.CONT):
                    self._parts.append(bytes(frame.data))
                    if frame.fin:
                        text = b"".join(self._parts).decode()
                        self._parts.clear()
                        return text
            if not self._receive():
                raise self._protocol.close_exc

    def close(self) -> None:
        """Say goodbye; who receives sees the end of it."""
        with contextlib.suppress(OSError), self._sending:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(_NORMAL)
                self._flush()
                self.socket.settimeout(self._seconds)

    def _shake_hands(self, headers: Mapping[str, str]) -> None:
        request = self._protocol.connect()
        request.headers.update(headers)
        self._protocol.send_request(request)
        self._flush()
        while self._protocol.state is State.CONNECTING:
            more = self._receive()
            if self._protocol.handshake_exc is not None:
                raise self._protocol.handshake_exc
            if not more:
                raise InvalidHandshake("no answer")

    def _receive(self) -> bool:
        """Take in what comes; False once nothing more will."""
        try:
            data = self.socket.recv(self._at_once)
        except (OSError, ValueError) as error:  # ValueError: TLS on a socket that somebody has cut
            if self._protocol.close_rcvd is None:
                raise BrokenPipeError from error
            data = b""  # it has said its word, which is what counts
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        with contextlib.suppress(OSError):
            self._flush()
        self._frames += (one for one in self._protocol.events_received() if isinstance(one, Frame))
        if self._protocol.close_expected():
            self.socket.settimeout(self._seconds)
        over = self._protocol.state is State.CLOSED
        if over:
            self.socket.close()
        return not over or bool(self._frames)

    def _flush(self) -> None:
        with self._sending:
            for data in self._protocol.data_to_send():
                if data:
                    self.socket.sendall(data)
