"""Edges on other hosts: over TLS, with a certificate that is for them, and believed as the one on this host is."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from app import inner
from app.settings import Settings, SettingsError
from certs.inner import ensure_inner
from tests.patience import PATIENCE
from tests.socket.raw import Raw
from tests.socket.server import OPENED, Client, Server, new_address, new_name
from tests.stack.running import free_port

PORT = free_port()
SHUT_OUT = (OSError, EOFError, WebSocketException)
"""How it ends for a client whose certificate was not liked: TLS 1.3 lets it speak first."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of both ends."""
    made: Path = tmp_path_factory.mktemp("inner")
    ensure_inner(made)
    return made


@pytest.fixture(scope="module")
def remote(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the inner listener beside its Unix sockets."""
    settings = {"inner_bind": f"127.0.0.1:{PORT}", "inner_tls": str(folder), "connections_per_address": "2"}
    one = Server(tmp_path_factory.mktemp("state"), settings)
    one.prepare()
    one.start()
    yield one
    assert one.stop() == 0


def edge_of(folder: Path, name: str = "edge") -> ssl.SSLContext:
    """What an edge shows, and whom it trusts."""
    made = ssl.create_default_context(cafile=folder / "ca.pem")
    if name:
        made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return made


async def enter(server: Server, trust: ssl.SSLContext, address: str, port: int = PORT) -> Client:
    """A chat through the inner listener, as an edge carries it there."""
    token = await server.mint(await server.account(new_name()))
    socket = await connect(
        "wss://localhost:8443/ws/chat",
        host="127.0.0.1",
        port=port,
        ssl=trust,
        server_hostname="app",
        subprotocols=["chat.v1"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Bearer {token}", "X-Real-IP": address},
        proxy=None,
    )
    OPENED.append(socket)
    return Client(socket)


async def test_an_edge_elsewhere_is_believed_as_the_one_here(remote: Server, folder: Path) -> None:
    """The client's address is what it says, which limits count by."""
    address = new_address()
    clients = [await enter(remote, edge_of(folder), address) for _ in range(2)]
    await clients[0].join()
    await clients[1].join()
    assert (await clients[0].post("through the wall"))["type"] == "ack"
    assert (await clients[1].until(type="message"))["message"] == "through the wall"
    with pytest.raises(InvalidStatus) as refused:
        await enter(remote, edge_of(folder), address)
    assert json.loads(refused.value.response.body or b"")["reason"] == "ip_connections"
    await enter(remote, edge_of(folder), new_address())


async def test_who_is_still_sending_through_tls_is_told_that_it_is_too_big(remote: Server, folder: Path) -> None:
    """There is no half-close in it: what is left of the frame is taken until the edge goes, or for two seconds."""
    trust, token = edge_of(folder), await remote.mint(await remote.account(new_name()))
    raw = Raw(*await asyncio.open_connection("127.0.0.1", PORT, ssl=trust, server_hostname="app"))
    OPENED.append(raw.writer)
    await raw.connect(token, new_address())
    assert await raw.overflows() == 1009


@pytest.mark.parametrize("name", ["", "app"])
async def test_who_is_no_edge_gets_nowhere(remote: Server, folder: Path, name: str) -> None:
    """Without a certificate, or with one that is for servers."""
    with pytest.raises(SHUT_OUT):
        await enter(remote, edge_of(folder, name), new_address())
    assert remote.get("/live", private=True)[0] == 200


async def test_another_authoritys_edge_gets_nowhere(remote: Server, folder: Path, tmp_path: Path) -> None:
    """Whatever it calls itself."""
    ensure_inner(tmp_path / "other")
    trust = edge_of(tmp_path / "other")
    trust.load_verify_locations(folder / "ca.pem")
    with pytest.raises(SHUT_OUT):
        await enter(remote, trust, new_address())


async def test_who_does_not_speak_tls_gets_nowhere(remote: Server) -> None:
    """Nor is a silent one waited for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(b"GET /ready HTTP/1.1\r\nHost: localhost:8443\r\n\r\n")
    assert b"HTTP/1.1" not in await asyncio.wait_for(reader.read(), PATIENCE)
    silent, other = await asyncio.open_connection("127.0.0.1", PORT)
    assert await asyncio.wait_for(silent.read(), inner.HANDSHAKE_SECONDS + PATIENCE) == b""
    for one in (writer, other):
        one.close()


async def test_private_routes_are_not_for_edges(remote: Server, folder: Path) -> None:
    """Metrics and health stay on the private socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT, ssl=edge_of(folder), server_hostname="app")
    ask = "GET /metrics HTTP/1.1\r\nHost: localhost:8443\r\nX-Real-IP: 192.0.2.1\r\nConnection: close\r\n\r\n"
    writer.write(ask.encode())
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 404 ") and b"chat_" not in answer
    writer.close()


async def test_a_drain_reaches_edges_elsewhere(folder: Path, tmp_path: Path) -> None:
    """Their clients are told and closed like all others."""
    port = free_port()
    settings = {"inner_bind": f"127.0.0.1:{port}", "inner_tls": str(folder), "drain_seconds": "1"}
    one = Server(tmp_path, settings)
    one.prepare()
    one.start()
    stopping: asyncio.Future[int] | None = None
    try:
        client = await enter(one, edge_of(folder), new_address(), port)
        await client.join()
        stopping = asyncio.ensure_future(asyncio.to_thread(one.stop))
        assert (await client.until(type="going_away"))["retry_after"] >= 0
        assert (await client.closed())[0] == 1012
    finally:
        assert await (stopping or asyncio.to_thread(one.stop)) == 0


def test_its_files_have_to_fit(folder: Path, tmp_path: Path) -> None:
    """What is missing, open to others or does not fit stops the start with a sentence."""
    broken = tmp_path / "broken"
    with pytest.raises(SettingsError, match="cannot be read"):
        inner.context(broken)
    ensure_inner(broken)
    (broken / "app.key").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        inner.context(broken)
    (broken / "app.key").write_bytes((folder / "app.key").read_bytes())
    (broken / "app.key").chmod(0o600)
    with pytest.raises(SettingsError, match="fit together"):
        inner.context(broken)


@pytest.mark.parametrize("wrong", [{"inner_bind": "0.0.0.0:8444"}, {"inner_tls": "x"}, {"inner_bind": "8444"}])
def test_half_a_listener_is_none(wrong: dict[str, str]) -> None:
    """An address without certificates would be open to all."""
    with pytest.raises(ValueError, match=r"inner_bind|HOST:PORT"):
        Settings(**wrong)  # type: ignore[arg-type]
