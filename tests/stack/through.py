"""Clients of a whole stack: through the edge, over TLS, from chosen loopback addresses."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests import canary
from tests.patience import PATIENCE
from tests.socket.server import OPENED, Client, Refused, Server
from tests.stack.running import RunningStack


@dataclass
class Through:
    """What outsiders can do to a stack, and every error body that they were shown."""

    stack: RunningStack
    bodies: list[bytes] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The authority of its URLs."""
        return f"localhost:{self.stack.https_port}"

    @property
    def inside(self) -> Server:
        """The same store and keys, to make accounts and tokens quickly. Only while the app runs: it owns the files."""
        return Server(self.stack.state, {"issuer": self.stack.url})

    async def open(
        self,
        token: str | None,
        *,
        address: str = "127.0.0.1",
        query: str = "",
        headers: dict[str, str] | None = None,
        subprotocols: tuple[str, ...] = ("chat.v1",),
    ) -> Client | Refused:
        """One handshake."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        try:
            opened = await connect(
                f"wss://{self.host}/ws/chat{query}",
                host="127.0.0.1",
                port=self.stack.https_port,
                local_addr=(address, 0),
                ssl=self.stack.tls,
                proxy=None,
                compression=None,
                additional_headers=sent,
                subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
                open_timeout=PATIENCE,
            )
        except InvalidStatus as refused:
            content = bytes(refused.response.body or b"")
            self.bodies.append(content)
            body = json.loads(content)
            return Refused(
                refused.response.status_code, body["reason"], body, refused.response.headers.get("Retry-After")
            )
        OPENED.append(opened)
        return Client(opened)

    async def connect(self, token: str | None, **options: Any) -> Client:
        """One handshake that has to succeed."""
        answer = await self.open(token, **options)
        assert isinstance(answer, Client), answer
        return answer

    async def refused(self, token: str | None, **options: Any) -> str:
        """The reason of a handshake that has to be refused."""
        answer = await self.open(token, **options)
        assert isinstance(answer, Refused), "the handshake was accepted"
        return answer.reason

    def raw(self, text: str, address: str = "127.0.0.1") -> bytes:
        """All that the edge sends for these bytes, until it closes."""
        answer = b""
        plain = socket.create_connection(("127.0.0.1", self.stack.https_port), PATIENCE, (address, 0))
        with self.stack.tls.wrap_socket(plain, server_hostname="localhost") as stream:
            stream.sendall(text.encode())
            with contextlib.suppress(ConnectionResetError):
                while part := stream.recv(65_536):
                    answer += part
        self.bodies.append(answer)
        if answer:
            head, _, content = answer.partition(b"\r\n\r\n")
            canary.answered(int(answer.split()[1]), head.decode(), content)
        return answer

    def ask(self, method: str, path: str, body: Any = None, address: str = "127.0.0.1", **headers: str) -> bytes:
        """The whole answer to one request; header names are written with _ for -."""
        content = "" if body is None else json.dumps(body)
        fields = {
            "Host": self.host,
            "Origin": self.stack.url,
            "Connection": "close",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return self.raw(f"{method} {path} HTTP/1.1\r\n{head}\r\n{content}", address)
