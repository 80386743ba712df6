"""An edge whose application is on another host: both show a certificate, and nobody else is spoken to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from certs.inner import ensure_inner
from nginx.values import EdgeValues, UnsafeValueError
from tests.patience import until
from tests.socket.conftest import WIDE
from tests.socket.server import Client, new_name
from tests.socket.server import running as serving
from tests.stack.edge import Edge, free_ports, running


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    """Its application listens on a port, over TLS."""
    with running(app=f"127.0.0.1:{free_ports(1)[0]}") as started:
        yield started


def test_requests_and_sockets_pass_with_the_clients_address(edge: Edge) -> None:
    """As over the Unix socket."""
    headers = dict(edge.request("/", source="127.0.0.7").json()["headers"])
    assert headers["x-real-ip"] == "127.0.0.7"
    with connect(f"wss://{edge.host}/ws/chat", ssl=edge.trust, proxy=None) as chat:
        assert dict(json.loads(chat.recv()))["x-real-ip"] == "127.0.0.1"


def test_an_application_of_another_authority_is_not_spoken_to(edge: Edge) -> None:
    """Clients are told that it is down, and their tokens stay where they are."""
    inner = edge.values.state / "inner"
    kept = {name: (inner / name).read_bytes() for name in ("app.pem", "app.key")}
    ensure_inner(inner / "other")
    try:
        for name in kept:
            (inner / name).write_bytes((inner / "other" / name).read_bytes())
        edge.stop("app")
        edge.start_app()
        assert edge.request("/").status == 503
    finally:
        for name, content in kept.items():
            (inner / name).write_bytes(content)
        edge.stop("app")
        edge.start_app()
    until(lambda: edge.request("/").status == 200, "the application is spoken to again")


UNSAFE = ({"app": "tasks.app:8444"}, {"app": "app"}, {"app": "a b:1", "resolver": "127.0.0.11"}, {"resolver": "dns"})


async def test_the_apps_own_listener_is_what_the_edge_speaks_to(edge: Edge, tmp_path: Path) -> None:
    """The chat itself in the echo's place: a client posts through both, and its address is the one that was seen."""
    settings = WIDE | {
        "inner_bind": edge.values.app,
        "inner_tls": str(edge.values.state / "inner"),
        "hosts": "localhost",
        "connections_per_address": "1",
    }
    edge.stop("app")
    try:
        with serving(tmp_path, **settings) as server:
            token = await server.token(new_name())
            words = {"ssl": edge.trust, "proxy": None, "additional_headers": {"Authorization": f"Bearer {token}"}}
            url = f"wss://{edge.host}/ws/chat"
            async with async_connect(url, subprotocols=["chat.v1"], **words) as socket:  # type: ignore[arg-type,list-item]
                client = Client(socket)
                await client.join()
                assert (await client.post("through the wall"))["type"] == "ack"
                with pytest.raises(InvalidStatus, match="429"):
                    await async_connect(url, subprotocols=["chat.v1"], **words)  # type: ignore[arg-type,list-item]
    finally:
        edge.start_app()


@pytest.mark.parametrize("wrong", UNSAFE)
def test_unsafe_values_are_refused(edge: Edge, wrong: dict[str, str]) -> None:
    """A name that nobody resolves would stop nginx, and anything else could be a directive."""
    with pytest.raises(UnsafeValueError):
        EdgeValues(edge.values.state, **wrong)  # type: ignore[arg-type]
