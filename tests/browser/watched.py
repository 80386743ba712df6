"""A whole stack that a real Prometheus watches, with people who talk and others who only knock."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from http.server import ThreadingHTTPServer
from itertools import cycle
from pathlib import Path

import websockets
from websockets.asyncio.client import ClientConnection, connect

from stack.counter import Answers
from stack.place import Place
from tests.monitoring import parts
from tests.monitoring.watch import prometheus
from tests.stack.running import RunningStack, new_stack

STRANGERS = tuple(f"127.0.0.{number}" for number in range(2, 10))
"""Addresses of this machine from which nobody else connects."""
WORDS = ("Morning, all", "Who has the key?", "The gate is up", "Back at noon", "Seen the new hinges?", "On my way")


@contextlib.contextmanager
def watched(folder: Path, node: str, seed: Path | None = None, *, hasty: bool = False) -> Iterator[RunningStack]:
    """The stack. Prometheus has the committed configuration and looks every second; a hasty one fires alerts at once.

    `node` is where the machine's exporter answers, nothing where the machine is not watched.
    """
    with contextlib.ExitStack() as open_:
        stack = open_.enter_context(new_stack({}, seed))
        addresses = {
            "counter": open_.enter_context(_counter(stack.place)),
            "node": node,
            "alertmanager": open_.enter_context(parts.alertmanager(folder, _quiet(folder))),
        }
        watching = open_.enter_context(prometheus(folder, addresses, hasty=hasty))
        stack.settings = {"PORTCULLIS_PROMETHEUS_URL": f"http://{watching.address}"}
        stack.up()
        yield stack


@contextlib.contextmanager
def _counter(place: Place) -> Iterator[str]:
    """What answers Prometheus for app, edge and host: in the containers' shape it is one of them."""
    answers = type("Here", (Answers,), {"place": place})
    with ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def _quiet(folder: Path) -> Path:
    """An Alertmanager that tells nobody."""
    path = folder / "alertmanager.yml"
    path.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    return path


@contextlib.asynccontextmanager
async def line(stack: RunningStack, token: str | None, address: str = "127.0.0.1") -> AsyncIterator[ClientConnection]:
    """A connection from this address; raises websockets.InvalidStatus when it is refused."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    opening = connect(
        stack.socket_url,
        ssl=stack.tls,
        subprotocols=[websockets.Subprotocol("chat.v1")],
        additional_headers=headers,
        host="127.0.0.1",
        local_addr=(address, 0),
    )
    async with opening as one:
        yield one


async def talk(stack: RunningStack, name: str, every: float, stop: asyncio.Event) -> None:
    """One person in the lobby who says something now and then, and comes back when the token has ended."""
    words = cycle(WORDS)
    while not stop.is_set():
        with contextlib.suppress(websockets.ConnectionClosed):
            async with line(stack, await stack.mint(name)) as one:
                await one.send(json.dumps({"type": "join", "room": "lobby"}))
                reading = asyncio.create_task(_read(one))
                while not (stop.is_set() or reading.done()):
                    post = {"type": "post", "room": "lobby", "message": next(words), "id": uuid.uuid4().hex}
                    await one.send(json.dumps(post))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), every)
                reading.cancel()


async def flood(stack: RunningStack, name: str) -> int:
    """Somebody who goes on through all throttles; the code with which that ends."""
    async with line(stack, await stack.mint(name)) as one:
        await one.send(json.dumps({"type": "join", "room": "lobby"}))
        reading = asyncio.create_task(_read(one))
        with contextlib.suppress(websockets.ConnectionClosed):
            for number in range(500):
                post = {"type": "post", "room": "lobby", "message": WORDS[0], "id": f"{name}-{number}"}
                await one.send(json.dumps(post))
        await reading
        return one.close_code or 0


async def knock(stack: RunningStack, address: str, token: str | None = None) -> int:
    """One handshake; the status with which it is refused, or 101."""
    try:
        async with line(stack, token, address):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def _read(one: ClientConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in one:
            pass
