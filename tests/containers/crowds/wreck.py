"""What can happen to the containers of a stack: each fault as it is made, held, and undone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stack import compose, engine, health
from tests.containers.contained import SMALL_DISK, ContainedStack
from tests.patience import THOROUGH, until

HELD = 20.0 if THOROUGH else 5.0
"""Seconds for which something stands still or is cut off."""
REPAIRED = 90.0
NETWORK = "backend"
FILLING = "filling"
WRITE = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 8000000))"
LOGS = 100


@dataclass(frozen=True)
class Wreck:
    """One fault by its name. While it is held, readiness `says` so, and a metric that the backend is `degraded`."""

    name: str
    make: Callable[[ContainedStack], object]
    undo: Callable[[ContainedStack], object] | None = None
    says: str = ""
    degraded: str = ""


def kill(service: str, stack: ContainedStack) -> None:
    """The whole container dies at once, as with its machine's memory; the engine may not know who did it."""
    os.kill(stack.pid(service), signal.SIGKILL)


def kill_worker(stack: ContainedStack) -> None:
    """Of gunicorn's workers the one with the most connections: of 20 clients all may be on the three others."""
    master = stack.pid("app")
    workers = [int(one) for one in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
    os.kill(max(workers, key=_open_files), signal.SIGKILL)


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def ask(word: str, service: str, stack: ContainedStack) -> None:
    """One of the engine's own commands about a container."""
    engine.run(word, stack.containers()[service])


def cut(service: str, stack: ContainedStack) -> None:
    """Nobody reaches it any more, and no connection ends by itself."""
    engine.run("network", "disconnect", _network(stack), stack.containers()[service])


def mend(service: str, stack: ContainedStack) -> None:
    """The way is there again, under the same name."""
    engine.run("network", "connect", "--alias", service, _network(stack), stack.containers()[service])


def _network(stack: ContainedStack) -> str:
    return f"{compose.project(stack.place)}_{NETWORK}"


def fill(stack: ContainedStack) -> None:
    """Not a byte is left on the database's disk."""
    disk = stack.state.parent / SMALL_DISK
    assert (disk / "data" / "PG_VERSION").exists(), "the database is not on its small disk"
    with contextlib.suppress(OSError), (disk / FILLING).open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()
    # The log has files in reserve.
    psql = ("exec", "--no-TTY", "postgres", "psql", "--username=postgres", "--quiet", "--command", WRITE)
    assert any(compose.attempt(stack.place, *psql).returncode for _ in range(LOGS)), "the log still has room"


def make_room(stack: ContainedStack) -> None:
    """What filled it is gone."""
    (stack.state.parent / SMALL_DISK / FILLING).unlink()


STORES = {"valkey": "Redis does not answer", "postgres": "the store does not answer"}
BACKENDS = {"valkey": "redis", "postgres": "store"}
DEGRADED = 'chat_degraded{{backend="{}"}}'
KILLS = [
    Wreck("worker killed", kill_worker),
    *(Wreck(f"{one} killed", partial(kill, one)) for one in ("app", *STORES)),
]
PAUSES = [
    Wreck(
        f"{one} paused",
        partial(ask, "pause", one),
        partial(ask, "unpause", one),
        STORES.get(one, ""),
        BACKENDS.get(one, ""),
    )
    for one in ("app", *STORES)
]
RESTARTS = [Wreck(f"{one} restarted", partial(ask, "restart", one)) for one in ("app", *STORES)]
CUTS = [
    Wreck(f"{one} cut off", partial(cut, one), partial(mend, one), says, BACKENDS[one]) for one, says in STORES.items()
]
FULL = Wreck("disk full", fill, make_room, degraded="store")
"""What can be read goes on, so readiness stays."""
ALL = [*KILLS, *PAUSES, *RESTARTS, *CUTS, FULL]
"""Valkey keeps nothing on disk: whenever it comes back, it comes back empty."""
SHORT = [wreck for wreck in ALL if wreck.name in ("worker killed", "valkey killed", "postgres killed", "valkey paused")]


def plan(seed: int) -> list[Wreck]:
    """What happens in a run, in an order that the seed decides."""
    chosen: Sequence[Wreck] = ALL if THOROUGH else SHORT
    return random.Random(seed).sample(chosen, len(chosen))  # noqa: S311


@contextmanager
def held(wreck: Wreck, stack: ContainedStack) -> Iterator[None]:
    """While it is not undone."""
    wreck.make(stack)
    try:
        yield
    finally:
        if wreck.undo is not None:
            wreck.undo(stack)


def suffer(wreck: Wreck, stack: ContainedStack) -> None:
    """Let it happen, look what readiness says, and wait until nobody had to do anything and all is well."""
    began = time.monotonic()
    with held(wreck, stack):
        if wreck.says:
            until(lambda: wreck.says in said(stack), f"readiness tells of: {wreck.name}", HELD + 10)
        if wreck.degraded:
            until(lambda: degraded(wreck, stack) == 1, f"a metric tells of: {wreck.name}", HELD + 10)
        if wreck.undo is not None:
            time.sleep(max(0.0, began + HELD - time.monotonic()))
    until(lambda: not compose.ill(compose.states(stack.place)), f"well after: {wreck.name}", REPAIRED)
    until(lambda: health.unserved(stack.place) is None, f"served after: {wreck.name}", REPAIRED)
    until(lambda: not degraded(wreck, stack), f"nothing is degraded after: {wreck.name}", REPAIRED)
    print(f"{wreck.name}: well again {time.monotonic() - began:.1f} s after it began", flush=True)


def degraded(wreck: Wreck, stack: ContainedStack) -> float:
    """What the app's metrics say of the backend that the fault is about."""
    return stack.sample(DEGRADED.format(wreck.degraded)) if wreck.degraded else 0.0


def said(stack: ContainedStack) -> str:
    """What the app answers to whoever asks whether it is ready."""
    done = compose.attempt(stack.place, "exec", "--no-TTY", "app", "python", "-m", "stack.ready")
    return done.stdout + done.stderr
