"""A WebSocket server whose every word a test says: what a real one would only do by accident, on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from app.protocol import Malformed, Profile, parse
from client import Backoff, Client, Credential, Disconnected, Notice, Token
from tests.patience import PATIENCE

EPOCH = "e1"


class Peer:
    """One accepted connection, from the server's side."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    @property
    def headers(self) -> Headers:
        assert self.socket.request is not None
        return self.socket.request.headers

    async def send(self, **fields: Any) -> None:
        await self.socket.send(json.dumps(fields))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        return frame

    async def expect(self, **wanted: Any) -> dict[str, Any]:
        """The next frame, which has to have these fields."""
        frame = await self.receive()
        assert {name: frame.get(name) for name in wanted} == wanted
        return frame

    async def join(
        self, room: str = "lobby", offset: int = 0, *, recovered: bool = False, **more: Any
    ) -> dict[str, Any]:
        """Take a join and answer it."""
        frame = await self.expect(type="join", room=room)
        await self.joined(frame, offset, recovered=recovered, **more)
        return frame

    async def joined(self, join: Mapping[str, Any], offset: int, *, recovered: bool = False, **more: Any) -> None:
        answer = {"epoch": EPOCH, "newest": offset, "role": "member", "title": "A room", "public": True, **more}
        await self.send(type="joined", id=join["id"], room=join["room"], offset=offset, recovered=recovered, **answer)

    async def message(self, offset: int, room: str = "lobby", **more: Any) -> None:
        fields = {"sender": "bob", "message": f"m{offset}", "timestamp": 1.0, **more}
        await self.send(type="message", room=room, offset=offset, **fields)

    async def ack(self, frame: Mapping[str, Any], offset: int | None = None) -> None:
        more = {} if offset is None else {"offset": offset}
        await self.send(type="ack", id=frame["id"], **more)

    async def refuse(self, frame: Mapping[str, Any], code: str, **more: Any) -> None:
        await self.send(type="error", id=frame["id"], code=code, error="No.", **more)

    @staticmethod
    def parsed(frame: dict[str, Any]) -> bool:
        """Whether the real server would understand it."""
        return not isinstance(parse(json.dumps(frame), Profile.CHAT_V1), Malformed)

    def cut(self) -> None:
        """As when a cable is pulled: no close frame."""
        self.socket.transport.abort()

    async def closed(self) -> int | None:
        """The client's close code, once it has closed; None without a close frame."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code


@dataclass
class Script:
    """`refusals` answer the next handshakes, first to last: status, body and headers."""

    refusals: list[tuple[int, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    url: str = ""
    _peers: asyncio.Queue[Peer] = field(default_factory=asyncio.Queue)

    def refuse(self, status: int, reason: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        """Refuse one more handshake."""
        self.refusals.append((status, {"reason": reason, "detail": "No.", **more}, headers or {}))

    async def peer(self) -> Peer:
        """The next connection."""
        async with asyncio.timeout(PATIENCE):
            return await self._peers.get()

    def client(self, credential: Credential | None = None, **options: Any) -> Client:
        """A client of this server that comes back almost at once."""
        options.setdefault("backoff", Backoff(0.01, 0.02))
        options.setdefault("name", "alice")
        return Client(self.url, credential or Token("t"), notify=self.notices.append, **options)

    def waits(self) -> list[tuple[str, float]]:
        """Why and for how long the client stayed away, each time."""
        return [(one.reason, one.retry_in) for one in self.notices if isinstance(one, Disconnected)]

    def judge(self, socket: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if not self.refusals:
            return None
        status, body, headers = self.refusals.pop(0)
        answer = socket.respond(status, json.dumps(body))
        answer.headers.update(headers)
        return answer

    async def serve(self, socket: ServerConnection) -> None:
        await self._peers.put(Peer(socket))
        await socket.wait_closed()


@contextlib.asynccontextmanager
async def scripted(**options: Any) -> AsyncIterator[Script]:
    """A server on a port of its own; it ends with every connection."""
    script = Script()
    options.setdefault("ping_interval", None)
    server: Server = await serve(
        script.serve,
        "127.0.0.1",
        0,
        process_request=script.judge,
        subprotocols=[Subprotocol("chat.v1")],
        compression=None,
        close_timeout=0.2,
        **options,
    )
    script.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
    try:
        yield script
    finally:
        server.close()
        await server.wait_closed()


async def take(client: Client, count: int) -> list[Any]:
    """The next so many deliveries."""
    async with asyncio.timeout(PATIENCE):
        return [await anext(client) for _ in range(count)]
