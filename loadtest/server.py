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
from stack import compose, contained_settings, engine, processes, supervision
from stack.embedded import Embedded

PAGE = 4096
SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """One stack from the inside."""

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
    if isinstance(stack, Embedded):
        workers = int(stack.settings.get("WORKERS", "1"))
        pids, restart = partial(_programs, stack), partial(_end, stack)
    else:
        workers = int(contained_settings.workers(stack.settings))
        pids, restart = partial(_contained, compose.states(stack.place)["app"].id), partial(_again, stack)
    return Server(stack.metrics, lambda: resident(pids()), limits.chosen(stack.settings, words), workers, restart)


def _programs(stack: Embedded) -> list[int]:
    return [one.pid for one in processes.ours(stack.place) if one.program == "app"]


def _contained(container: str) -> list[int]:
    """As this machine numbers them; none where the engine runs elsewhere."""
    done = engine.attempt("top", container, "-eo", "pid")
    return [] if done.returncode else [int(line) for line in done.stdout.split()[1:]]


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
    context = ssl.create_default_context(cafile=ca or None) if url.startswith("https:") else None

    def ask() -> str:
        with urllib.request.urlopen(url, timeout=SECONDS, context=context) as answer:  # noqa: S310 - the caller's own
            return str(answer.read().decode())

    return Server(ask, lambda: None, limits.chosen({}, words))


def resident(pids: list[int]) -> float | None:
    """The resident bytes of these processes together; None when none of them is there."""
    found = []
    for pid in pids:
        try:
            found.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE)
        except OSError:
            continue
    return float(sum(found)) if found else None
