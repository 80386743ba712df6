"""The distribution's own Prometheus, Alertmanager, exporters and mtail, started for a test and ended after it."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from stack import packages, unix_http
from tests.patience import PATIENCE, until


def program(name: str) -> Path:
    """Where it is. Its absence is a failure, never a reason to skip."""
    found = packages.command(name)
    assert found is not None, f"{name} is not installed: run `make machine`"
    return found


def run(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of the checkers; whatever it says is kept."""
    return subprocess.run([program(name), *words], capture_output=True, text=True, check=False)


@contextlib.contextmanager
def running(words: Sequence[str], where: str | Path, log: Path, **environment: str) -> Iterator[None]:
    """A program that answers at this URL, or with metrics on this socket, once it is ready."""
    name, *rest = words
    with log.open("ab") as said:
        process = subprocess.Popen([program(name), *rest], env={**os.environ, **environment}, stdout=said, stderr=said)
    try:
        until(lambda: process.poll() is not None or answers(where), f"{name} answers; its log is {log}", 2 * PATIENCE)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def answers(where: str | Path) -> bool:
    """Whether it says 200."""
    try:
        if isinstance(where, Path):
            return unix_http.get(where, "/metrics")[0] == http.HTTPStatus.OK
        return bool(get(where))
    except (OSError, http.client.HTTPException):
        return False


def get(url: str) -> str:
    """What it answers; raises OSError."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - of 127.0.0.1
        return str(answer.read().decode())
