"""What can happen to the containers of a stack: each fault as it is made, held, and undone."""

from __future__ import annotations

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
from tests.containers.contained import ContainedStack
from tests.patience import THOROUGH, until

HELD = 20.0 if THOROUGH else 5.0
"""Seconds for which something stands still or is cut off."""
REPAIRED = 90.0
NETWORK = "backend"


@dataclass(frozen=True)
class Wreck:
    """One fault by its name. `says`: what readiness answers while it is held, where it is held."""

    name: str
    make: Callable[[ContainedStack], object]
    undo: Callable[[ContainedStack], object] | None = None
    says: str = ""


def pid(stack: ContainedStack, service: str) -> int:
    """The container's first process, as the host numbers it."""
    (one,) = engine.inspect(stack.containers()[service])
    found: int = one["State"]["Pid"]
    return found


def kill(service: str, stack: ContainedStack) -> None:
    """The whole container dies at once, as with its machine's memory; the engine may not know who did it."""
    os.kill(pid(stack, service), signal.SIGKILL)


def kill_worker(stack: ContainedStack) -> None:
    """One of gunicorn's workers."""
    master = pid(stack, "app")
    workers = [int(one) for one in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
    os.kill(random.choice(workers), signal.SIGKILL)  # noqa: S311


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


STORES = {"valkey": "Redis does not answer", "postgres": "the store does not answer"}
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
    )
    for one in ("app", *STORES)
]
RESTARTS = [Wreck(f"{one} restarted", partial(ask, "restart", one)) for one in ("app", *STORES)]
CUTS = [Wreck(f"{one} cut off", partial(cut, one), partial(mend, one), says) for one, says in STORES.items()]
ALL = [*KILLS, *PAUSES, *RESTARTS, *CUTS]
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
        if wreck.undo is not None:
            time.sleep(max(0.0, began + HELD - time.monotonic()))
    until(lambda: not compose.ill(compose.states(stack.place)), f"well after: {wreck.name}", REPAIRED)
    until(lambda: health.unserved(stack.place) is None, f"served after: {wreck.name}", REPAIRED)
    print(f"{wreck.name}: well again {time.monotonic() - began:.1f} s after it began", flush=True)


def said(stack: ContainedStack) -> str:
    """What the app answers to whoever asks whether it is ready."""
    done = compose.attempt(stack.place, "exec", "--no-TTY", "app", "python", "-m", "stack.ready")
    return done.stdout + done.stderr
