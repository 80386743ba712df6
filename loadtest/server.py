"""What is asked of the server itself: its counters, its memory, and what its operator has set."""

from __future__ import annotations

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
from stack import processes
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

    def scrape(self) -> Scrape:
        """All counters now, by this process's monotonic clock."""
        return counters.parse(self.exposition(), time.monotonic())


def local(stack: Local, words: Iterable[str]) -> Server:
    """The stack of this clone, which promises what it was started with, unless words say otherwise."""
    return Server(stack.metrics, partial(_memory, stack), limits.chosen(stack.settings, words))


def _memory(stack: Local) -> float | None:
    """The supervisor's processes can be seen, those in containers cannot."""
    if not isinstance(stack, Embedded):
        return None
    return resident([one.pid for one in processes.ours(stack.place) if one.program == "app"])


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
