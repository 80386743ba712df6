"""Spans of a real server in a real collector; a server that exports none; collectors that do not answer."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary import word
from tests.patience import PATIENCE, until
from tests.socket.collector import Collector, attributes, collecting
from tests.socket.conftest import Serve
from tests.socket.server import ROOT, Server, new_address, new_name

LOADED = """
import asyncio, sys
from app.main import create_app

async def serve():
    app, sent = create_app(), []
    received = asyncio.Queue()
    async def send(message):
        sent.append(message["type"])
    for kind in ("lifespan.startup", "lifespan.shutdown"):
        received.put_nowait({"type": kind})
    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, received.get, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"], sent

asyncio.run(serve())
parts = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "google.protobuf", "requests", "urllib3")
print(sorted({part for part in parts for name in sys.modules if (name + ".").startswith(part + ".")}))
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture
def hanging() -> Iterator[Collector]:
    with collecting(hangs=True) as started:
        yield started


def loaded(state: Path, **environment: str) -> str:
    """What a server has loaded that starts and stops with these variables."""
    server = Server(state)
    server.prepare()
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(
        command, cwd=ROOT, env=server.environment | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_is_loaded_where_nothing_is_exported(tmp_path: Path) -> None:
    """Not by a setting that is absent, nor by the variables that libraries read by themselves."""
    assert loaded(tmp_path / "a") == "[]"
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
    assert loaded(tmp_path / "b", **variables) == "[]"
    assert "opentelemetry.sdk" in loaded(tmp_path / "c", PORTCULLIS_OTLP_ENDPOINT="http://127.0.0.1:9")


async def test_spans_tell_what_happened(serve: Serve, collector: Collector) -> None:
    """A handshake with its verdict, a request with its route, a batch and the drain; their trace is the request."""
    server = serve(otlp_endpoint=collector.url, drain_seconds=1)
    names = {what: secrets.token_hex(16) for what in ("accepted", "refused", "asked")}
    sent = {what: {"X-Request-Id": name} for what, name in names.items()}
    client = await server.connect(await server.token(new_name()), headers=sent["accepted"], address=new_address())
    await client.join()
    await client.post("spoken under observation")
    await server.refused(None, headers=sent["refused"], address=new_address())
    server.get("/api/rooms/lobby/members", headers=sent["asked"], address=new_address())
    server.get("/nowhere", method="GET", address=new_address())
    until(lambda: len(collector.spans("handshake")) == 2, "both handshakes arrive")
    until(lambda: collector.spans("GET"), "the unknown path arrives")
    assert server.stop() == 0
    until(lambda: collector.spans("drain"), "the drain arrives")
    handshakes = {span.trace_id.hex(): attributes(span) for span in collector.spans("handshake")}
    assert handshakes == {
        names["accepted"]: {"chat.verdict": "accepted", "chat.profile": "chat.v1", "chat.credential": "token"},
        names["refused"]: {"chat.verdict": "refused", "chat.reason": "credential_missing"},
    }
    [request] = collector.spans("GET /api/rooms/{room}/members")
    assert request.trace_id.hex() == names["asked"]
    assert attributes(request) == {
        "http.request.method": "GET",
        "http.route": "/api/rooms/{room}/members",
        "http.response.status_code": 401,
    }
    [unknown] = collector.spans("GET")
    assert attributes(unknown) == {"http.request.method": "GET", "http.response.status_code": 404}
    batches = [attributes(span) for span in collector.spans("batch")]
    assert {"chat.posts": 1, "chat.changes": 0, "chat.denied": 0} in batches
    assert all(
        span.end_time_unix_nano >= span.start_time_unix_nano and not span.parent_span_id
        for name in ("handshake", "batch", "drain")
        for span in collector.spans(name)
    )


async def test_spans_tell_nothing_of_anybody(serve: Serve, collector: Collector) -> None:
    """No text, name, address, room, token or query, wherever it could have come from."""
    server = serve(otlp_endpoint=collector.url)
    text, title, user, address = word("span"), f"Den {word('title')}", new_name(), new_address()
    token = await server.token(user)
    client = await server.connect(None, path=f"/ws/chat?token={token}", address=address)
    made = await client.ask(type="create", title=title)
    await client.join(made["room"])
    await client.post(text, made["room"])
    parent = f"00-{'5f' * 16}-{'1' * 16}-01"
    bearer = {"Authorization": f"Bearer {token}", "User-Agent": "observed", "traceparent": parent}
    server.get(f"/api/rooms/{made['room']}?token={token}", headers=bearer, address=address)
    server.get(f"/{text}?{text}", method="PROPFIND", headers=bearer, address=address)
    until(lambda: collector.spans("_OTHER") and collector.spans("GET /api/rooms/{room}"), "both requests arrive")
    until(lambda: len(collector.spans("batch")) >= 1, "the post arrives")
    payload = b"".join(collector.bodies).lower()
    for secret in (text, title, user, address, made["room"], token, token[:20], "observed", "lobby"):
        assert secret.lower().encode() not in payload, secret
    assert bytes.fromhex("5f" * 16) not in payload
    names = {
        one.key
        for request in collector.requests()
        for item in request.resource_spans
        for one in item.resource.attributes
    }
    assert names == {"service.name", "service.version"}


async def posted(server: Server, seconds: float) -> None:
    """Clients come and post; none of it takes as long as a collector is waited for."""
    begun = time.monotonic()
    client = await server.connect(await server.token(new_name()), address=new_address())
    await client.join()
    for number in range(20):
        assert (await client.post(f"spoken meanwhile {number}"))["type"] == "ack"
    assert server.get("/api/session", address=new_address())[0] == 401
    await client.socket.close()
    assert time.monotonic() - begun < seconds


async def test_a_collector_that_hangs_touches_nobody(serve: Serve, hanging: Collector) -> None:
    """The chat goes on, and stops in time; nothing waits for an answer that does not come."""
    server = serve(otlp_endpoint=hanging.url, drain_seconds=1, graceful_seconds=8)
    await posted(server, PATIENCE)
    until(hanging.asked.is_set, "the collector is asked")
    await posted(server, 5.0)
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 6.0
    assert "Traceback" not in server.log() and hanging.bodies == []


async def test_a_collector_that_is_not_there_is_told_of_once(serve: Serve) -> None:
    """One line says that spans are lost, however many are; another that they arrive, once it is there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        server = serve(otlp_endpoint=f"http://127.0.0.1:{port}", drain_seconds=1)
        await posted(server, PATIENCE)
        until(lambda: server.log_lines("traces_lost"), "the loss is logged", PATIENCE * 2)
        await posted(server, 5.0)
    with collecting(port=port) as late:
        await posted(server, 5.0)
        until(lambda: late.spans("handshake"), "spans arrive")
        until(lambda: server.log_lines("traces_arrive"), "that is logged")
    assert server.stop() == 0
    # Another one where the last spans were made after the collector had gone.
    assert len(server.log_lines("traces_lost")) <= 2 and len(server.log_lines("traces_arrive")) == 1
    assert not [line for line in server.log().splitlines() if "opentelemetry" in line]
