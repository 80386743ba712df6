"""A verdict that cannot fail is worth nothing: the same run against a server whose limit is right, off, and off by one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stack import development
from tests.stack.running import ROOT, SECONDS, RunningStack, new_stack

PROMISED = {
    "posts_per_user_per_second": 1,
    "posts_per_user_burst": 3,
    "connections_per_user": 3,
    "handshakes_per_address_per_minute": 20,
    "handshakes_per_address_burst": 4,
}
OFF = {
    "posts_per_user_per_second": 1000,
    "posts_per_user_burst": 1000,
    "connections_per_user": 1000,
    "handshakes_per_address_per_minute": 60000,
    "handshakes_per_address_burst": 1000,
}
BURSTS = ("posts_per_user_burst", "connections_per_user", "handshakes_per_address_burst")
SERVERS = {
    "right": PROMISED,
    "off": OFF,
    "one more": PROMISED | {name: PROMISED[name] + 1 for name in BURSTS},
    "one fewer": PROMISED | {name: PROMISED[name] - 1 for name in BURSTS},
}
TRIED = {
    "post-flood": "posts_per_user",
    "hoard-user": "connections_per_user",
    "handshake-flood-many": "handshakes_per_address",
}
"""The limit that each scenario tries."""
NOISY = "honest users: p99 delivery"
"""These runs are too short, and run beside other tests: no latency is judged by them."""


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """The load generator's own environment."""
    development.load()


@contextmanager
def serving(stack: RunningStack, limits: Mapping[str, int]) -> Iterator[RunningStack]:
    """A stack with these limits, and with room for each scenario's refusals."""
    settings = {f"PORTCULLIS_{name.upper()}": str(value) for name, value in limits.items()}
    with new_stack(settings, stack.state) as mine:
        mine.up()
        yield mine


def report(server: RunningStack, folder: Path, *names: str) -> dict[str, dict[str, Any]]:
    """What the scenarios' verdicts say of this server, by scenario."""
    promises = [word for name, value in PROMISED.items() for word in ("--limit", f"{name}={value}")]
    words = ["--time", "4", "--calm", "1", "--honest", "4", "--report", str(folder), *promises]
    python = ROOT / "var" / "dev" / "load" / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "loadtest", *names, *words],
        cwd=ROOT,
        env=server.environ(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    found = json.loads((folder / "report.json").read_text())["scenarios"]
    assert [one["name"] for one in found] == list(names), done.stdout + done.stderr
    return {one["name"]: one for one in found}


def failing(scenario: Mapping[str, Any]) -> list[str]:
    """The assertions that do not hold, latency aside."""
    assert not scenario["failure"], scenario["failure"]
    wrong = [one for one in scenario["assertions"] if one["holds"] is False and one["name"] != NOISY]
    return [f"{one['name']}: {one['expected']}; {one['found']}" for one in wrong]


@pytest.mark.parametrize("server", SERVERS)
def test_only_the_right_limit_is_green(stack: RunningStack, tmp_path: Path, server: str) -> None:
    """Exactly the promised limit is green; none at all, one more and one fewer are red, and for that limit's sake."""
    with serving(stack, SERVERS[server]) as mine:
        found = report(mine, tmp_path, *TRIED)
    for name, limit in TRIED.items():
        wrong = failing(found[name])
        if server == "right":
            assert wrong == [], name
        else:
            assert any(line.startswith(f"{limit}: ") for line in wrong), (name, found[name]["assertions"])
