"""One client's way to a stack: bytes are passed on from an address of its own, until the way is told to misbehave."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

_WINDOW = 16_384
"""Small buffers, so that a slow reader is felt at the other end."""


class _End(asyncio.Protocol):
    """One of a connection's two sockets."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.bytes_per_second = 0.0
        self.halted = False
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        for data in self._early:
            transport.write(data)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.write(data)
        if self.bytes_per_second:
            self.pause_reading()
            asyncio.get_running_loop().call_later(len(data) / self.bytes_per_second, self.resume_reading)

    def write(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
        else:
            self.transport.write(data)

    def pause_writing(self) -> None:
        assert self.other is not None
        self.other.pause_reading()

    def resume_writing(self) -> None:
        assert self.other is not None
        self.other.resume_reading()

    def pause_reading(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.transport is not None and not self.transport.is_closing() and not self.halted:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


@dataclass
class Between:
    """Listens on a port of its own for one client. Use `async with`."""

    to_port: int
    address: str
    """Where the stack sees the client come from."""
    port: int = 0
    _open: list[tuple[_End, _End]] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _dialling: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Between:
        self._server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        self.cut()

    def cut(self) -> int:
        """Reset every connection, at both ends; how many there were."""
        found = self._alive()
        for ends in found:
            for end in ends:
                end.abort()
        return len(found)

    def halt(self, seconds: float) -> int:
        """The connections of this moment carry nothing any more and stay open; they are reset after `seconds`."""
        found = self._alive()
        for ends in found:
            for end in ends:
                end.halted = True
                end.pause_reading()
                asyncio.get_running_loop().call_later(seconds, end.abort)
        return len(found)

    def slow(self, bytes_per_second: float, seconds: float) -> int:
        """What the stack sends over the connections of this moment arrives that slowly, for `seconds`."""
        found = self._alive()
        for _, stack in found:
            stack.bytes_per_second = bytes_per_second
            asyncio.get_running_loop().call_later(seconds, setattr, stack, "bytes_per_second", 0.0)
        return len(found)

    def _alive(self) -> list[tuple[_End, _End]]:
        self._open = [ends for ends in self._open if not any(_over(end) for end in ends)]
        return [ends for ends in self._open if not ends[0].halted]

    def _accept(self) -> _End:
        client, stack = _End(), _End()
        client.other, stack.other = stack, client
        self._open.append((client, stack))
        task = asyncio.get_running_loop().create_task(self._dial(client, stack))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)
        return client

    async def _dial(self, client: _End, stack: _End) -> None:
        loop = asyncio.get_running_loop()
        plain = socket.socket()
        plain.setblocking(False)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        plain.bind((self.address, 0))
        try:
            await loop.sock_connect(plain, ("127.0.0.1", self.to_port))
        except OSError:
            plain.close()
            client.abort()
            return
        await loop.create_connection(lambda: stack, sock=plain)
        if _over(client):
            stack.abort()


def _over(end: _End) -> bool:
    return end.transport is not None and end.transport.is_closing()
