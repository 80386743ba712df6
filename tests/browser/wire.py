"""The wire between a browser and the stack, which a test can cut: bytes go through it, and no certificate changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.patience import PATIENCE


class Wire:
    """A TCP relay on a port of its own. Cut, it forwards nothing and accepts nothing, and tells neither side."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._whole = asyncio.Event()
        self._flows: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()

    def cut(self) -> None:
        """From now on nothing gets through, as when a cable is pulled: no side hears of an end."""
        self._run(self._set(whole=False))

    def mend(self) -> None:
        """The network is back; what was open before stays dead, as it is after a change of the address."""
        self._run(self._set(whole=True))

    def _run(self, doing: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(doing, self._loop).result(PATIENCE)

    async def _set(self, *, whole: bool) -> None:
        if whole:
            for flow in self._flows:
                flow.cancel()
            self._whole.set()
        else:
            self._whole.clear()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._whole.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        flows = [asyncio.create_task(self._flow(*ends)) for ends in ((reader, far_writer), (far_reader, writer))]
        self._flows.update(flows)
        try:
            await asyncio.wait(flows)
        finally:
            for flow in flows:
                flow.cancel()
            self._flows.difference_update(flows)
            for end in (writer, far_writer):
                end.transport.abort()

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
            writer.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._whole.set()
        server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await server.serve_forever()

    async def _end(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the next turn of the loop

    @contextmanager
    def running(self) -> Iterator[Wire]:
        """Relay until the block ends."""
        ready = threading.Event()
        serving = self._loop.create_task(self._serve(ready))

        def relay() -> None:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(serving)
            self._loop.run_until_complete(self._end())
            self._loop.close()

        thread = threading.Thread(target=relay)
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(serving.cancel)
            thread.join()
