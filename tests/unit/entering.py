"""A process of the chat without sockets, and who comes into its rooms."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from app.backends import Backends, build, opened
from app.connection import Connection
from app.keys import create_key
from app.model import DEFAULT_ROOM, Change, Event, Post, Stored, UserName
from app.settings import Settings
from app.store import Store
from app.verbs import Join
from tests.unit.live import PaperWire, connection

ANN, BOB, ROOT = UserName("ann"), UserName("bob"), UserName("root")


@contextlib.asynccontextmanager
async def chat(**settings: Any) -> AsyncIterator[Backends]:
    """A whole process of the chat but for its sockets, with three accounts."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        (state / "data").mkdir(mode=0o700)
        create_key(state / "secrets" / "signing")
        chosen = Settings(state=state, **settings)
        Store.migrate(chosen.database)
        backends = build(chosen)
        async with opened(backends):
            for name in (ANN, BOB, ROOT):
                await backends.store.create_account(name, "!", admin=name == ROOT)
            yield backends


class SlowWire(PaperWire):
    """Lets somebody else go first whenever it is waited for."""

    def __init__(self, pauses: Sequence[int] = ()) -> None:
        super().__init__()
        self._pauses = list(pauses)
        self.waited = 0

    async def drained(self) -> bool:
        self.waited += 1
        for _ in range(self._pauses.pop() if self._pauses else 0):
            await asyncio.sleep(0)
        return not self.closed


class HeldWire(PaperWire):
    """A reader that takes nothing more until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.let = asyncio.Event(), asyncio.Event()

    async def drained(self) -> bool:
        self.reached.set()
        await self.let.wait()
        return not self.closed


def live(backends: Backends, wire: PaperWire, user: str = "bob") -> Connection:
    """A user's connection on that wire."""
    made, _ = connection(user)
    made._wire = wire
    backends.hub.add(made)
    return made


def join(after: int | None = None, epoch: str | None = None, room: str = DEFAULT_ROOM) -> Join:
    """The verb."""
    return Join(type="join", room=room, after=after, epoch=epoch, id="j")


async def wrote(backends: Backends, *writes: Post | Change) -> list[Event]:
    """The events that these made, stored and delivered."""
    answers = [await backends.rooms.write(write) for write in writes]
    return [answer.event for answer in answers if isinstance(answer, Stored)]
