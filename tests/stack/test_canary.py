"""The search of the whole run finds what it is there for: a run that leaks fails, with the file and the line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.canary import word
from tests.patience import THOROUGH
from tests.stack.running import ROOT

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"
LOG = """
def test_log(tmp_path):
    (tmp_path / "app.log").write_text("started\\nrefused {secret}\\n")
    (tmp_path / "chat.db").write_text("{secret}")
"""
SERVERS = """
import http.server, json, threading, urllib.error, urllib.request
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

class Gossip(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404, explain="{secret}")
    def log_message(self, *words):
        pass

def test_error_body():
    with http.server.HTTPServer(("127.0.0.1", 0), Gossip) as server:
        threading.Thread(target=server.handle_request).start()
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"http://127.0.0.1:{{server.server_port}}/", timeout=10)
        with raised.value as answer:
            answer.read()

async def gossip(connection):
    post = json.loads(await connection.recv())
    await connection.send(json.dumps({{"type": "error", "detail": post["message"]}}))

async def test_error_frame():
    async with serve(gossip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{{port}}", proxy=None) as client:
            await client.send(json.dumps({{"message": "a posted \\N{{SNOWMAN}} text"}}))
            await client.recv()
"""


def run(source: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A run of its own of one throw-away test file, under the same conftest."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_leak.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest"]
        places = ["-p", "no:cacheprovider", "--basetemp", str(folder / "base"), str(folder)]
        return subprocess.run([*command, *places, *more], cwd=ROOT, capture_output=True, text=True, check=False)


ALONE, TWO = (), ("-n", "2")
SECRETS = {"canary": word("log"), "token": TOKEN, "password": "correct horse battery"}


@pytest.mark.parametrize(
    ("secret", "workers"),
    [
        pytest.param(secret, workers, id=f"{kind}-{'two workers' if workers else 'alone'}")
        for kind, secret in SECRETS.items()
        for workers in (ALONE, TWO)
        if THOROUGH or (workers == TWO) == (kind == "canary")
    ],
)
def test_a_secret_in_a_log_fails_the_run(secret: str, workers: tuple[str, ...]) -> None:
    """The line is named; the same in a database is no fault."""
    done = run(LOG.format(secret=secret), *workers)
    assert done.returncode == 1, done.stdout
    assert f"app.log:2:{secret.partition('.')[0]}" in done.stdout
    assert "chat.db" not in done.stdout


def test_a_secret_in_an_error_fails_the_run() -> None:
    """Bodies and frames are heard without a word of the test, and so is the text that was posted."""
    secret = word("error")
    done = run(SERVERS.format(secret=secret))
    assert done.returncode == 1, done.stdout
    assert "2 passed, 1 error" in done.stdout
    assert secret in done.stdout
    assert "a posted \\u2603 text" in done.stdout


def test_a_run_without_a_leak_passes() -> None:
    """So that the others fail for the right reason."""
    done = run(LOG.format(secret="nothing of value"))
    assert done.returncode == 0, done.stdout
