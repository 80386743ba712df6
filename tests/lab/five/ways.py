"""The way of a lab's clients to its edges: one local port that leads to whichever edge answers, as a name with several
addresses does."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

SECONDS = 1.0
"""Until the next address is tried."""
_CHUNK = 65_536


class Ways:
    """Use `async with`. A connection stays with its edge; when that is lost without a word, it is silent."""

    def __init__(self, addresses: Sequence[str], rng: random.Random, port: int = 443) -> None:
        self.addresses, self._rng, self._to = addresses, rng, port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Ways:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for one in self._carrying:
            one.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                for address in self._rng.sample(self.addresses, len(self.addresses)):
                    with contextlib.suppress(OSError, TimeoutError):
                        async with asyncio.timeout(SECONDS):
                            there, back = await asyncio.open_connection(address, self._to)
                        await self._carry(reader, writer, there, back)
                        return
        finally:
            writer.close()
            self._carrying.discard(task)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        tasks = [asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(there, writer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            back.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK):
        target.write(data)
        await target.drain()
