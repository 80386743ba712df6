"""Leads a run: scrape, honest users, calm, attack, everybody leaves, scrape until the server has counted all of it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from loadtest import verdict
from loadtest.accounts import Purse
from loadtest.counters import Scrape
from loadtest.scenario import Scenario
from loadtest.server import Server
from loadtest.tally import Tally, loaded, together
from loadtest.target import Target, block
from loadtest.verdict import Observation
from stack.problem import Problem

ARRIVAL_SECONDS = 60.0
ARRIVALS_PER_SECOND = 25.0
"""At the least, where there are many: each is a handshake and a join."""
LEAVING_SECONDS = 45.0
SETTLING_SECONDS = 8.0
"""For the last close, the outboxes' sample, and mtail, which follows the edge's log."""
EVERY = 2.0
"""Seconds between two looks: each takes a worker some 10 ms, which are not the attackers' doing."""
CALM_BEFORE = 3.0
"""Seconds of an attack before the app is restarted."""
CLONE = Path(__file__).resolve().parents[1]


class Process:
    """One crew, from the outside."""

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        self.name = name
        self._heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.crew"],
            cwd=CLONE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self.tell(json.dumps(spec))

    def tell(self, word: str) -> None:
        """One word to the crew."""
        assert self._process.stdin is not None  # noqa: S101 - it has one
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def hear(self, what: str, seconds: float) -> dict[str, Any]:
        """Wait for what the crew says next of this kind. Raises Problem when it does not in time, or ends."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                said = self._heard.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Problem(f"The {self.name} were not {what} within {seconds:g} s.") from None
            if said is None:
                raise Problem(f"The {self.name} ended by themselves; what they said is above.")
            if said["said"] == what:
                return said

    def report(self) -> Tally:
        """What the crew has counted so far."""
        self.tell("report")
        return loaded(self.hear("report", ARRIVAL_SECONDS)["tally"])

    def stop(self) -> None:
        """End it; by force when it does not go."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put(None)


@dataclass
class Watch:
    """What is seen of the server while the run goes on."""

    server: Server
    gaps: bool = False
    """Whether there may be nobody to ask for a while."""
    scrapes: list[Scrape] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def look(self) -> None:
        """One look. Raises Problem and OSError where nobody answers who should."""
        try:
            self.scrapes.append(self.server.scrape())
        except (Problem, OSError, HTTPException):
            if not self.gaps:
                raise
            return
        size = self.server.memory()
        if size is not None:
            self.memory.append((time.monotonic(), size))

    def through(self, seconds: float) -> tuple[float, float]:
        """Look every two seconds for so long; the span."""
        began = time.monotonic()
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(EVERY, left))
            self.look()
        return began, time.monotonic()


Say = Callable[[str], None]


def run(scenario: Scenario, target: Target, server: Server, purse: Purse, say: Say) -> Observation:
    """One run of a scenario. Raises Problem when it cannot be carried out at all."""
    if scenario.restart and server.restart is None:
        raise Problem("A host elsewhere cannot be restarted from here.")
    watch = Watch(server)
    watch.look()
    crews: list[Process] = []
    try:
        return _observe(scenario, target, watch, purse, crews, say)
    finally:
        for crew in crews:
            crew.stop()


def _observe(
    scenario: Scenario, target: Target, watch: Watch, purse: Purse, crews: list[Process], say: Say
) -> Observation:
    honest = Process("honest users", _spec(scenario, target, watch, purse, honest=True))
    crews.append(honest)
    if scenario.attack:
        crews.append(Process("attackers", _spec(scenario, target, watch, purse, honest=False)))
    say("arriving")
    for crew in crews:
        crew.hear("ready", ARRIVAL_SECONDS + scenario.attackers / ARRIVALS_PER_SECOND)
    calm = _calm(scenario, watch, honest, say)
    attacked = _attack(scenario, watch, crews[1:], say) if crews[1:] else (calm[1], calm[1])
    say("leaving")
    honest.tell("end")
    honest.hear("done", LEAVING_SECONDS)
    tallies = [crew.report() for crew in crews]
    _settle(scenario, tallies, watch)
    return Observation(
        honest=tallies[0],
        attack=tallies[1] if crews[1:] else Tally(),
        scrapes=watch.scrapes,
        calm=calm,
        attacked=attacked,
        memory=watch.memory,
        workers=watch.server.workers,
    )


def _calm(scenario: Scenario, watch: Watch, honest: Process, say: Say) -> tuple[float, float]:
    say("calm")
    honest.tell("begin")
    return watch.through(scenario.calm if scenario.attack else scenario.seconds)


def _attack(scenario: Scenario, watch: Watch, attackers: Iterable[Process], say: Say) -> tuple[float, float]:
    say("attack")
    for crew in attackers:
        crew.tell("begin")
    span = _restarted(scenario, watch) if scenario.restart else watch.through(scenario.seconds)
    for crew in attackers:
        crew.tell("end")
    for crew in attackers:
        crew.hear("done", LEAVING_SECONDS)
    return span


def _restarted(scenario: Scenario, watch: Watch) -> tuple[float, float]:
    """The attack, with the app restarted after its first seconds."""
    assert watch.server.restart is not None  # noqa: S101 - seen to above
    began, _ = watch.through(CALM_BEFORE)
    watch.gaps = True
    with ThreadPoolExecutor(1) as other:
        done = other.submit(watch.server.restart)
        _, ended = watch.through(scenario.seconds - CALM_BEFORE)
        done.result()
    watch.gaps = False
    return began, ended


def _settle(scenario: Scenario, tallies: list[Tally], watch: Watch) -> None:
    """Look until the server has counted what clients saw; what it still has not by then is a finding."""
    deadline = time.monotonic() + SETTLING_SECONDS
    while True:
        watch.look()
        clients = together(tallies)
        open_points = [
            *(() if scenario.restart else verdict.reconciled(clients, watch.scrapes, scenario.one_number)),
            *verdict.level(watch.scrapes),
        ]
        if all(one.holds for one in open_points) or time.monotonic() > deadline:
            return
        time.sleep(0.2)


def _spec(scenario: Scenario, target: Target, watch: Watch, purse: Purse, *, honest: bool) -> dict[str, Any]:
    accounts = purse.take(scenario.honest if honest else scenario.accounts)
    cores = sorted(os.sched_getaffinity(0))
    return {
        "scenario": scenario.name,
        "users": "HonestUser" if honest and not scenario.restart else scenario.attack,
        "count": scenario.honest if honest else scenario.attackers,
        "shares": 0 if honest else scenario.addresses,
        "accounts": [(one.name, one.token) for one in accounts],
        "first_address": block(),
        "target": target.dump(),
        "limits": dict(watch.server.promised),
        # Attackers keep to one core, so that they cannot slow down the honest users' own process.
        "core": None if honest or len(cores) < 2 else cores[-1],
    }


def needed(scenarios: Iterable[Scenario], repeat: int) -> int:
    """How many accounts these take."""
    return repeat * sum(one.honest + one.accounts for one in scenarios)
