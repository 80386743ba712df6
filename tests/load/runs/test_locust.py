"""The users work in Locust itself: headless, with its page, and as master and workers."""

from __future__ import annotations

import csv
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stack import development
from tests.patience import PATIENCE, until
from tests.stack.running import ROOT, RunningStack, free_port

LOCUST = ROOT / "var" / "dev" / "load" / "bin" / "locust"
ATTACKED = 1
"""Locust's exit status when anything failed: attackers are refused, as they should be."""


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """The load generator's own environment."""
    development.load()


@contextmanager
def locust(stack: RunningStack, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Locust with the project's users; ended afterwards if it is still there."""
    process = subprocess.Popen(
        [str(LOCUST), "-f", "loadtest/locustfile.py", "--stop-timeout", "10", *words],
        cwd=ROOT,
        env=stack.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=PATIENCE * 3)


def rows(path: Path) -> dict[str, dict[str, str]]:
    """Locust's CSV by name or error."""
    with path.open() as text:
        return {row.get("Error") or row["Name"]: row for row in csv.DictReader(text)}


def ask(url: str, **form: str) -> Any:
    """What Locust's page asks, too; None while nobody answers."""
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        with urllib.request.urlopen(url, data, timeout=PATIENCE) as answer:  # noqa: S310 - it is the one below
            return json.loads(answer.read())
    except OSError:
        return None


def test_headless_statistics_are_right(stack: RunningStack, tmp_path: Path) -> None:
    """Handshakes, acks and deliveries with their times; refusals as failures by their reason."""
    words = ["--headless", "-u", "6", "-r", "20", "-t", "5s", "--csv", str(tmp_path / "run"), "HonestUser"]
    with locust(stack, *words, "HandshakeFlooder") as process:
        said, _ = process.communicate(timeout=PATIENCE * 4)
    assert process.returncode == ATTACKED, said
    assert "Traceback" not in said, said
    found = rows(tmp_path / "run_stats.csv")
    assert {"handshake", "ack", "delivery"} <= set(found)
    assert "trouble" not in found
    assert int(found["handshake"]["Request Count"]) > int(found["handshake"]["Failure Count"]) > 0
    assert 0 < float(found["delivery"]["Median Response Time"]) < 1000 * PATIENCE
    assert "Refused('credential_missing')" in rows(tmp_path / "run_failures.csv")


def test_a_master_and_two_workers(stack: RunningStack, tmp_path: Path) -> None:
    """Each worker has users of its own, and the master has the statistics of both."""
    port = str(free_port())
    words = ["--headless", "-u", "8", "-r", "20", "-t", "5s", "--csv", str(tmp_path / "run"), "HonestUser"]
    place = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", "2")
    with locust(stack, "--master", *place, *words) as master:
        workers = [locust(stack, "--worker", "--master-port", port) for _ in range(2)]
        with workers[0], workers[1]:
            said, _ = master.communicate(timeout=PATIENCE * 4)
    assert master.returncode == 0, said
    found = rows(tmp_path / "run_stats.csv")
    assert int(found["handshake"]["Request Count"]) == 8
    # Four talk in each worker's room: a post is heard four times.
    assert int(found["delivery"]["Request Count"]) == pytest.approx(4 * int(found["ack"]["Request Count"]), rel=0.2)


def test_the_page_starts_and_stops_a_run(stack: RunningStack) -> None:
    """What a person clicks: start, see numbers, stop, and start again with new accounts."""
    page = f"http://127.0.0.1:{free_port()}"
    words = ("--web-host", "127.0.0.1", "--web-port", page.rpartition(":")[2], "HonestUser")
    with locust(stack, *words):
        until(lambda: ask(f"{page}/stats/requests"), "the page is there", PATIENCE * 2)
        for _ in range(2):
            assert ask(f"{page}/swarm", user_count="4", spawn_rate="4")["success"]
            until(lambda: numbers(page).get("delivery", 0) > 4, "something was delivered", PATIENCE * 2)
            assert numbers(page).get("trouble", 0) == 0
            assert ask(f"{page}/stop", by="the test")["success"]
            until(lambda: ask(f"{page}/stats/requests")["state"] == "stopped", "everybody is gone", PATIENCE * 2)


def numbers(page: str) -> dict[str, int]:
    """Requests by name, as the page shows them."""
    return {one["name"]: int(one["num_requests"]) for one in ask(f"{page}/stats/requests")["stats"]}
