"""Whose id counts, and which task carries it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from app import request_id
from app.routes.signed import Send, signed

EDGES = "5f2b8c1e9a4d4c07b6e3d1f0a7c89e52"
FORM = re.compile("[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def left_behind() -> Iterator[None]:
    """No other test of this process serves the requests that begin here."""
    yield
    request_id._current.set(None)


def begun(*values: str, believed: bool = True) -> str:
    """The id of a request with these header fields."""
    headers = [(b"host", b"localhost"), *((request_id.HEADER, value.encode()) for value in values)]
    return request_id.begin(headers, believed=believed)


def test_the_edges_id_is_taken() -> None:
    """One proper id from where the edge's headers come from."""
    assert begun(EDGES) == EDGES
    assert request_id.current() == EDGES


@pytest.mark.parametrize(
    "values", [(), ("",), (EDGES, EDGES), (EDGES.upper(),), (EDGES[1:],), (EDGES + "0",), (EDGES + "\n",), ("x" * 32,)]
)
def test_anything_else_gets_a_new_one(values: tuple[str, ...]) -> None:
    """Missing, doubled and garbled ids reach no log."""
    made = begun(*values)
    assert FORM.fullmatch(made)
    assert made not in values


def test_a_clients_own_id_never_counts() -> None:
    """Where the headers are not the edge's, even a well-formed one is no id."""
    assert begun(EDGES, believed=False) != EDGES


async def test_each_task_has_its_own() -> None:
    """Requests that are served at once do not mix, and what goes on for others has none."""

    async def serve(name: str) -> tuple[str | None, str | None, str | None]:
        begun(name)
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        inherited = await loop.create_task(of_a_task())
        return request_id.current(), inherited, await loop.create_task(of_a_task(), context=request_id.apart())

    async def of_a_task() -> str | None:
        return request_id.current()

    names = [f"{number:032x}" for number in range(20)]
    found = await asyncio.gather(*[asyncio.create_task(serve(name)) for name in names])
    assert found == [(name, name, None) for name in names]


@pytest.mark.parametrize("kind", ["http.response.start", "websocket.http.response.start", "websocket.accept"])
async def test_an_answer_is_signed_once(kind: str) -> None:
    """Beside its own headers, and only where an answer begins."""
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    signing: Send = signed(send, EDGES)  # type: ignore[arg-type]
    await signing({"type": kind, "headers": [(b"a", b"b")]})
    await signing({"type": "http.response.body", "body": b""})
    await signing({"type": "websocket.accept", "subprotocol": None})
    assert sent[0]["headers"] == [(b"a", b"b"), (b"x-request-id", EDGES.encode())]
    assert "headers" not in sent[1]
    assert sent[2]["headers"] == [(b"x-request-id", EDGES.encode())]
