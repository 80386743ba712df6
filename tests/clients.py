"""Ends the clients that a test leaves open: a server that drains waits for peers that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tests.patience import PATIENCE
from tests.socket.server import OPENED


def hang_up() -> None:
    """Their servers see the end at once, even while the event loop stands still."""
    for client in OPENED:
        # None once the transport has closed, and an error once the peer has.
        if mine := client.transport.get_extra_info("socket"):
            with contextlib.suppress(OSError):
                mine.shutdown(socket.SHUT_RDWR)


async def end_clients() -> None:
    """Abort every client, and return once all of them are gone: none outlives its event loop."""
    gone = []
    while OPENED:
        client = OPENED.pop()
        client.transport.abort()
        gone.append(client.wait_closed())
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*gone, return_exceptions=True)
