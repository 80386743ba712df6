"""The tutorial's last section: WSS behind nginx, as its client opens it. Its other sections: tests/socket/."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from websockets.asyncio.client import connect

from tests.patience import PATIENCE
from tests.socket.server import Client
from tests.stack.running import RunningStack


async def test_section_wss_behind_nginx(stack: RunningStack) -> None:
    """With a token in the query a client chats over WSS; without trust in the CA, or without TLS, nothing opens."""
    token = await stack.mint("wss-client", 250)
    async with connect(f"{stack.socket_url}?token={token}", ssl=stack.tls, proxy=None) as opened:
        client = Client(opened)
        await client.send(message="over WSS")
        assert set(await client.until(sender="wss-client", message="over WSS")) == {"sender", "message", "timestamp"}
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(stack.socket_url, ssl=ssl.create_default_context(), proxy=None)
    # nginx answers plain HTTP on the TLS port with 400 or silence: no upgrade either way.
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.https_port)
    writer.write(b"GET /ws/chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    await writer.wait_closed()
    assert b" 101 " not in answer
