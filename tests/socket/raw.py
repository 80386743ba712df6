"""A client that does what no library would: any bytes as a handshake, any bytes as frames."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.patience import PATIENCE
from tests.socket.server import OPENED, Server, conforms

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """Of a problem body."""
        return str(json.loads(self.body)["reason"])


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """One frame of a client (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65_536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    mask = os.urandom(4)
    return bytes((fin << 7 | opcode,)) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Raw:
    """One connection to the server's public socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, server: Server) -> Raw:
        raw = cls(*await asyncio.open_unix_connection(server.state / "run" / "app.sock"))
        OPENED.append(raw.writer)
        return raw

    async def handshake(
        self, changes: Mapping[str, str | None], more: Sequence[str] = (), path: str = "/ws/chat"
    ) -> Answer:
        """A proper upgrade but for the changed fields (None leaves one out) and the lines that are added."""
        fields: dict[str, str | None] = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": KEY,
            "Sec-WebSocket-Protocol": "chat.v1",
        }
        lines = [f"{name}: {value}" for name, value in (fields | dict(changes)).items() if value is not None]
        request = "\r\n".join([f"GET {path} HTTP/1.1", *lines, *more, "", ""])
        self.writer.write(request.encode("latin-1"))
        return await asyncio.wait_for(self._answer(), PATIENCE)

    async def _answer(self) -> Answer:
        head, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        size = int(headers.get("content-length", "0"))
        return Answer(int(head.split()[1]), headers, await self.reader.readexactly(size))

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame."""
        self.writer.write(masked(opcode, payload, fin=fin))

    def send(self, **fields: Any) -> None:
        self.frame(TEXT, json.dumps(fields).encode())

    async def read(self) -> tuple[int, bytes]:
        """The next frame of the server: opcode and payload."""
        return await asyncio.wait_for(self._read(), PATIENCE)

    async def _read(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        assert first & 0x70 == 0 and first & 0x80 and not second & 0x80, "not one plain, unmasked frame"
        size = second
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first & 0x0F, await self.reader.readexactly(size)

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The next text frame that has these fields."""
        while True:
            opcode, payload = await self.read()
            if opcode == TEXT:
                frame = conforms(payload, tutorial=False)
                if all(frame.get(name) == value for name, value in wanted.items()):
                    return frame

    async def closed(self) -> tuple[int, str]:
        """The close code and reason, once the server has closed; what comes before is passed over."""
        while True:
            opcode, payload = await self.read()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def overflows(self) -> int:
        """Send a frame that is too big in pieces: the code with which the server closes amid it, once it has let go."""
        frame = masked(TEXT, b" " * 70_000)
        self.writer.write(frame[:1_000])
        code, _ = await self.closed()
        for at in range(1_000, len(frame), 10_000):
            self.writer.write(frame[at : at + 10_000])
            await self.writer.drain()
        assert await asyncio.wait_for(self.reader.read(), PATIENCE) == b""
        return code

    async def connect(self, token: str, address: str) -> None:
        """A handshake that has to succeed."""
        answer = await self.handshake({"Authorization": f"Bearer {token}", "X-Real-IP": address})
        assert answer.status == 101, answer
