"""`python -m loadtest`: what it lists, what it refuses, and a run against a host that it knows nothing of."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtest.scenarios import ALL
from stack import development
from tests import canary
from tests.stack.running import ROOT, SECONDS, RunningStack


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """The load generator's own environment."""
    development.load()


def loadtest(stack: RunningStack, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the make target does."""
    python = ROOT / "var" / "dev" / "load" / "bin" / "python"
    return subprocess.run(
        [python, "-m", "loadtest", *words],
        cwd=ROOT,
        env=stack.environ(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@contextmanager
def metrics(stack: RunningStack) -> Iterator[str]:
    """The stack's metrics at a URL, as an operator would have them."""

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(stack.metrics().encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


def test_every_scenario_is_listed(stack: RunningStack) -> None:
    """With what it proves."""
    said = loadtest(stack, "list").stdout
    assert all(one.name in said and one.proves in said for one in ALL)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["post-food"], "There is no scenario post-food."),
        (["steady", "--host", "https://localhost:1"], "A host needs --metrics URL and --accounts FILE"),
        (["steady", "--limit", "posts=1"], "posts is none of the limits"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(stack: RunningStack, words: list[str], sentence: str) -> None:
    """On standard error, with status 1."""
    done = loadtest(stack, *words)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_another_host(stack: RunningStack, tmp_path: Path) -> None:
    """Its accounts come from a file and its counters from a URL; memory, which nobody can see there, is not judged."""
    accounts = tmp_path / "accounts.json"
    accounts.write_text(loadtest(stack, "accounts", "4").stdout)
    for _, token in json.loads(accounts.read_text()):
        canary.remember(token)
    with metrics(stack) as url:
        words = ["--host", stack.url, "--ca", str(stack.ca), "--accounts", str(accounts), "--metrics", url]
        done = loadtest(stack, "steady", "--users", "4", "--time", "3", "--report", str(tmp_path / "report"), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "report" / "report.json").read_text())["scenarios"][0]
    assert [one["name"] for one in found["assertions"] if one["holds"] is None] == ["memory"]
    tokens = [token for _, token in json.loads(accounts.read_text())]
    assert not any(token in (tmp_path / "report" / "report.json").read_text() for token in tokens)
    accounts.unlink()
