"""The worker's own logging and signals."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from app.logs import JsonFormatter


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, which reads the settings when it is imported; the tests' own variable is none of them."""
    monkeypatch.delenv("PORTCULLIS_TEST_SCALE", raising=False)
    from app import worker  # noqa: PLC0415

    yield worker


async def test_a_lost_failure_is_logged_without_its_words(worker: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """asyncio would print the exception, and with it what a client sent."""
    asyncio.get_running_loop().set_exception_handler(worker.log_failure)

    async def fail() -> None:
        raise ValueError("the client's secret words")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    asyncio.get_running_loop().call_exception_handler({"exception": task.exception(), "message": "lost", "task": task})
    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["exception"], line["level"]) == ("task_failed", "ValueError", "error")
    assert "secret" not in JsonFormatter().format(record)


def test_uvicorn_believes_no_proxy_header_and_inflates_nothing(worker: ModuleType) -> None:
    """Over a Unix socket it could not tell a proxy from anyone; and a few bytes could become a gigabyte."""
    assert worker.Worker.CONFIG_KWARGS["access_log"] is False
    assert worker.Worker.CONFIG_KWARGS["proxy_headers"] is False
    assert worker.Worker.CONFIG_KWARGS["ws_per_message_deflate"] is False


def server_of(worker: ModuleType) -> Any:
    """A server that was never started."""
    return worker.DrainingServer(worker.Config(app=None, log_config=None), None)


def test_no_thread_keeps_the_sockets_waiting_for_long(worker: ModuleType) -> None:
    """Python's own interval is ten times that."""
    assert sys.getswitchinterval() == pytest.approx(0.0005)


def test_a_signal_before_the_start_ends_it_at_once(worker: ModuleType) -> None:
    """There is nothing to drain."""
    server = server_of(worker)
    server.handle_exit(15, None)
    assert server.should_exit


async def test_a_second_signal_ends_the_drain(worker: ModuleType) -> None:
    """The first one only begins it."""
    server, drained = server_of(worker), asyncio.Event()

    class Drain:
        async def run(self) -> None:
            await drained.wait()

    class Parts:
        drain = Drain()

    class Portcullis:
        backends = Parts()

    server._portcullis, server.started = Portcullis(), True
    server.handle_exit(15, None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not server.should_exit
    server.handle_exit(15, None)
    assert server.should_exit
    drained.set()
    await server._draining
