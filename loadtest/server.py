"""What is asked of the server itself: its counters, its memory, and what its operator has set."""

from __future__ import annotations

import os
import signal
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loadtest import counters, limits
from loadtest.counters import Scrape
from loadtest.limits import Limits
from loadtest.local import Local
from stack import compose, contained_settings, counter, engine, processes, supervision
from stack.embedded import Embedded

PAGE = 4096
SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """One stack from the inside. Looking starts no process of it, or the look would be what people feel."""

    exposition: Callable[[], str]
    memory: Callable[[], float | None]
    """Resident bytes of the app's processes; None where they cannot be seen."""
    promised: Limits
    workers: int = 1
    restart: Callable[[], object] | None = None
    """Restarts the app, and returns when that is done; None where it cannot be asked for."""

    def scrape(self) -> Scrape:
        """All counters now, by this process's monotonic clock."""
        return counters.parse(self.exposition(), time.monotonic())


def local(stack: Local, words: Iterable[str]) -> Server:
    """The stack of this clone, which promises what it was started with, unless words say otherwise."""
    promised = limits.chosen(stack.settings, words)
    if isinstance(stack, Embedded):
        workers = int(stack.settings.get("WORKERS", "1"))
        return Server(stack.metrics, Memory(partial(_programs, stack)), promised, workers, partial(_end, stack))
    workers = int(contained_settings.workers(stack.settings))
    containers = compose.states(stack.place)
    pids = partial(_contained, containers["app"].id)
    return Server(_counter(containers["counter"].id), Memory(pids), promised, workers, partial(_again, stack))


class Memory:
    """The resident bytes of some processes together, which are looked for again once one of them is gone."""

    def __init__(self, find: Callable[[], list[int]]) -> None:
        self._find = find
        self._pids: list[int] = []

    def __call__(self) -> float | None:
        """None when there is no process."""
        if not self._pids or not all(Path(f"/proc/{pid}").exists() for pid in self._pids):
            self._pids = self._find()
        return resident(self._pids)


def _programs(stack: Embedded) -> list[int]:
    return [one.pid for one in processes.ours(stack.place) if one.program == "app"]


def _contained(container: str) -> list[int]:
    """As this machine numbers them; none where the engine runs elsewhere."""
    done = engine.attempt("top", container, "-eo", "pid")
    return [] if done.returncode else [int(line) for line in done.stdout.split()[1:]]


def _counter(container: str) -> Callable[[], str]:
    """All metrics of a stack in containers, asked for on their own network: `make metrics` starts a process there."""
    networks = engine.inspect(container)[0]["NetworkSettings"]["Networks"]
    address = next(one["IPAddress"] for one in networks.values())
    return partial(_got, f"http://{address}:{counter.PORT}/metrics", urllib.request.ProxyHandler({}))


def _got(url: str, *handlers: urllib.request.BaseHandler) -> str:
    with urllib.request.build_opener(*handlers).open(url, timeout=SECONDS) as answer:
        return str(answer.read().decode())


def _end(stack: Embedded) -> None:
    """The supervisor starts it again."""
    for one in supervision.states(stack.place):
        if one.name == "app":
            os.kill(one.pid, signal.SIGTERM)


def _again(stack: Local) -> None:
    """The same container: a roll-out would find nothing to replace."""
    compose.run(stack.place, "restart", "app")


def remote(url: str, ca: str, words: Iterable[str]) -> Server:
    """A server whose metrics answer at `url`, which must be those of app and edge together."""
    context = ssl.create_default_context(cafile=ca or None)
    return Server(
        partial(_got, url, urllib.request.HTTPSHandler(context=context)), lambda: None, limits.chosen({}, words)
    )


def resident(pids: list[int]) -> float | None:
    """The resident bytes of these processes together; None when none of them is there."""
    found = []
    for pid in pids:
        try:
            found.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE)
        except OSError:
            continue
    return float(sum(found)) if found else None
