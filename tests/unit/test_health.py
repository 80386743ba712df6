"""The private listener while other workers come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.backends import build
from app.keys import create_key
from app.main import Portcullis
from app.settings import Settings

SCRAPE = """
import asyncio, pathlib, sys
from app.metrics import Metrics, Unsettled
from app.routes import health

class Backends:
    metrics = Metrics()

async def main():
    folder = pathlib.Path(sys.argv[1])
    young = folder / "counter_1.db"
    young.touch()
    try:
        Backends.metrics.exposition()
    except Unsettled:
        print("unsettled")
    asyncio.get_running_loop().call_later(0.05, young.unlink)
    async def send(message):
        if message["type"] == "http.response.start":
            print(message["status"])
    Backends.metrics.drains.inc()
    await health.serve(Backends, {"path": "/metrics", "method": "GET"}, send)

asyncio.run(main())
"""


def test_a_worker_that_is_just_starting_spoils_no_scrape(tmp_path: Path) -> None:
    """Its file is there before its first bytes are: whoever scrapes just then waits, and gets an answer."""
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRAPE, str(tmp_path)], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.returncode) == (["unsettled", "200"], 0), done.stderr


@pytest.mark.parametrize(
    ("bind", "server", "private"),
    [
        ("0.0.0.0:9600", ("10.0.0.7", 9600), True),
        ("0.0.0.0:9600", ("10.0.0.7", 9443), False),
        ("127.0.0.1:9600", ("127.0.0.1", 9600), True),
        ("127.0.0.1:9600", ("10.0.0.7", 9600), False),
        ("unix:/run/private.sock", ("/run/private.sock", None), True),
        ("unix:/run/private.sock", ("/run/app.sock", None), False),
    ],
)
def test_a_listener_is_known_by_where_the_connection_is(
    tmp_path: Path, bind: str, server: tuple[str, int | None], private: bool
) -> None:
    """A private port of all addresses by its number, another one by its address, too."""
    (tmp_path / "secrets" / "signing").mkdir(parents=True)
    create_key(tmp_path / "secrets" / "signing")
    assert Portcullis(build(Settings(state=tmp_path, private_bind=bind))).is_private(server) is private
