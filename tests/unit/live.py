"""A wire without a socket, and connections on it: for tests of what is written to whom."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from app.address import ClientAddress
from app.connection import Connection
from app.hub import Hub
from app.metrics import Metrics
from app.model import Address, ConnectionId, Credential, Identity, RoomId, SessionId, UserName
from app.protocol import Profile
from app.settings import Settings
from tests.patience import PATIENCE
from tests.unit.frames import frames

_NUMBERS = itertools.count(1)


class PaperWire:
    """Keeps what is written; `stuck` bytes are waiting for the reader."""

    def __init__(self) -> None:
        self.meter: Callable[[], None] = lambda: None
        self.data = b""
        self.stuck = 0
        self.closed: list[tuple[int, str]] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def buffered(self) -> int:
        return self.stuck

    async def drained(self) -> bool:
        return not self.closed

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))

    def take(self) -> list[dict[str, Any]]:
        """The frames written since the last time."""
        data, self.data = self.data, b""
        return [json.loads(payload) for _, payload in frames(data)]


async def eventually(ask: Callable[[], object]) -> None:
    """Go on once it is true."""
    ends = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < ends, "it never became true"
        await asyncio.sleep(0)


async def mended(hub: Hub, name: RoomId) -> None:
    """Nothing waits for what is missing in the room, and nobody reads it any more."""
    await eventually(lambda: (room := hub.rooms.get(name)) is None or not (room.repairing or room.holding))


def connection(
    user: str = "ann", profile: Profile = Profile.CHAT_V1, metrics: Metrics | None = None, **identity: Any
) -> tuple[Connection, PaperWire]:
    """A user's connection with the default settings, and its wire."""
    facts: dict[str, Any] = {"expires_at": time.time() + 3600, "session": SessionId("s1"), "token_id": "t1"} | identity
    who = Identity(user=UserName(user), credential=Credential.TOKEN, issuer="i", subject=user, **facts)
    wire, address = PaperWire(), ClientAddress("192.0.2.1", Address("192.0.2.1"))
    number = ConnectionId(str(next(_NUMBERS)))
    return Connection(number, who, address, profile, wire, Settings(), metrics or Metrics()), wire
