"""The same runs against servers whose limits are right, off, and off by one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack import development
from tests.patience import THOROUGH
from tests.stack.running import ROOT, SECONDS, RunningStack, new_stack

NOISY = "honest users: p99 delivery"
"""These runs are too short, and run beside other tests: no latency is judged by them."""
OTHERS = {"PORTCULLIS_THROTTLES_PER_MINUTE": "100000"}
"""Nobody is thrown out: small limits throttle more often than large ones."""
SERVERS = ("right", "one more", *(("off", "one fewer") if THOROUGH else ()))
"""`make test-all` tries all of them."""
HIGHEST = {"rooms_per_user": 1000}
"""Settings that cannot be as good as off."""


@dataclass(frozen=True)
class Trial:
    """A scenario, the beginning of what fails in it, the setting that is off by `step`, and how many attack."""

    scenario: str
    limit: str
    setting: str
    step: int = 1
    users: int = 0


def settings(promised: Mapping[str, int], trials: tuple[Trial, ...], server: str) -> dict[str, int]:
    """The limits of one of SERVERS."""
    match server:
        case "off":
            return {name: HIGHEST.get(name, max(10_000, 10 * value)) for name, value in promised.items()}
        case "one more":
            return {**promised, **{one.setting: promised[one.setting] + one.step for one in trials}}
        case "one fewer":
            return {**promised, **{one.setting: promised[one.setting] - one.step for one in trials}}
        case _:
            return dict(promised)


@contextmanager
def serving(stack: RunningStack, limits: Mapping[str, int]) -> Iterator[RunningStack]:
    """A stack with these limits."""
    chosen = {f"PORTCULLIS_{name.upper()}": str(value) for name, value in limits.items()}
    with new_stack(OTHERS | chosen, stack.state) as mine:
        mine.up()
        yield mine


def judged(server: RunningStack, promised: Mapping[str, int], trial: Trial, folder: Path) -> dict[str, Any]:
    """What the scenario's verdict says of this server."""
    development.load()
    promises = [word for name, value in promised.items() for word in ("--limit", f"{name}={value}")]
    users = ["--users", str(trial.users)] if trial.users else []
    words = ["--time", "4", "--calm", "1", "--honest", "4", "--report", str(folder), *users, *promises]
    done = subprocess.run(
        [ROOT / "var" / "dev" / "load" / "bin" / "python", "-m", "loadtest", trial.scenario, *words],
        cwd=ROOT,
        env=server.environ(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())["scenarios"][0]
    assert not found["failure"], found["failure"] + done.stderr
    return found


def failing(found: Mapping[str, Any]) -> list[str]:
    """The assertions that do not hold, latency aside."""
    wrong = [one for one in found["assertions"] if one["holds"] is False and one["name"] != NOISY]
    return [f"{one['name']}: {one['expected']}; {one['found']}" for one in wrong]


def prove(
    stack: RunningStack, promised: Mapping[str, int], trials: tuple[Trial, ...], server: str, folder: Path
) -> None:
    """Green for the right server, and red for the sake of that very limit for any other."""
    with serving(stack, settings(promised, trials, server)) as mine:
        for trial in trials:
            found = judged(mine, promised, trial, folder)
            wrong = failing(found)
            if server == "right":
                assert wrong == [], trial
            else:
                assert any(line.startswith(trial.limit) for line in wrong), (trial, found["assertions"])
