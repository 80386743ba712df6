"""Random faults of a whole stack and of its clients' networks: one seed, one schedule."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from stack import health, processes
from tests.patience import PATIENCE, until
from tests.stack.between import Between
from tests.stack.running import RunningStack


class Fault(StrEnum):
    """What can happen, beside what clients do to each other."""

    WORKER_KILLED = "worker_killed"
    MASTER_KILLED = "master_killed"
    EDGE_RELOADED = "edge_reloaded"
    EDGE_KILLED = "edge_killed"
    CUT = "cut"
    """A client's connections are reset."""
    HALF_OPEN = "half_open"
    """They stay open and carry nothing any more, in either direction."""
    SLOW = "slow"
    """They carry less than is sent to them."""


PROGRAMS = (Fault.WORKER_KILLED, Fault.MASTER_KILLED, Fault.EDGE_RELOADED, Fault.EDGE_KILLED)
NETWORK = (Fault.CUT, Fault.HALF_OPEN, Fault.SLOW)
BETWEEN_PROGRAMS = (6.0, 10.0)
"""Seconds. The supervisor pauses longer after each exit within a second of a start; so nothing is hit before it has
started again and run for a while, and clients have the time to come back and to talk."""
BETWEEN_NETWORK = (0.5, 2.0)
HELD = (5.0, 15.0)
"""Seconds for which a connection is half-open or slow: about the 9 s after which both ends notice."""
SLOW_BYTES = 300.0
"""A second: less than a client of a few talkative rooms is sent."""


@dataclass(frozen=True)
class Planned:
    """One fault. `client` and `seconds` concern the network's."""

    at: float
    fault: Fault
    client: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        of = f" client {self.client} for {self.seconds:.1f} s" if self.fault in NETWORK else ""
        return f"{self.at:7.1f} s  {self.fault}{of}"


def schedule(seed: int, seconds: float, clients: int) -> list[Planned]:
    """What happens in so many seconds: the same for the same numbers. Each kind comes before any comes again."""
    rng = random.Random(seed)  # noqa: S311
    programs = [Planned(at, fault) for at, fault in _paced(rng, PROGRAMS, BETWEEN_PROGRAMS, seconds)]
    network = [
        Planned(at, fault, rng.randrange(clients), round(min(rng.uniform(*HELD), seconds - at + 1), 1))
        for at, fault in _paced(rng, NETWORK, BETWEEN_NETWORK, seconds)
    ]
    return sorted(programs + network, key=lambda planned: planned.at)


def _paced(
    rng: random.Random, kinds: Sequence[Fault], between: tuple[float, float], seconds: float
) -> Iterator[tuple[float, Fault]]:
    at, turn = 0.0, list[Fault]()
    while (at := round(at + rng.uniform(*between), 1)) < seconds:
        turn = turn or rng.sample(kinds, len(kinds))
        yield at, turn.pop()


@dataclass
class Faults:
    """Lets a schedule happen. `happened` counts what really did: a cut of nothing is none."""

    stack: RunningStack
    ways: Sequence[Between]
    happened: Counter[str] = field(default_factory=Counter)

    async def run(self, plan: Sequence[Planned]) -> None:
        """Return when all is over, and the stack is well. What the programs suffer waits for the last one's repair."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run([planned for planned in plan if planned.fault in PROGRAMS]))
            group.create_task(self._run([planned for planned in plan if planned.fault in NETWORK]))
        await asyncio.to_thread(until, lambda: health.problems(self.stack.place) == [], "the stack is well again")

    async def _run(self, plan: Sequence[Planned]) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        for planned in plan:
            await asyncio.sleep(began + planned.at - clock())
            print(planned, flush=True)
            if planned.fault in NETWORK:
                self.happened[planned.fault] += self._disturb(planned)
            else:
                await asyncio.to_thread(self._hit, planned.fault)
                self.happened[planned.fault] += 1

    def _disturb(self, planned: Planned) -> int:
        way = self.ways[planned.client]
        match planned.fault:
            case Fault.CUT:
                return way.cut()
            case Fault.HALF_OPEN:
                return way.halt(planned.seconds)
            case _:
                return way.slow(SLOW_BYTES, planned.seconds)

    def _hit(self, fault: Fault) -> None:
        master = self.stack.pid("edge" if fault in (Fault.EDGE_RELOADED, Fault.EDGE_KILLED) else "app")
        workers = self._workers(master)
        match fault:
            case Fault.EDGE_RELOADED:
                os.kill(master, signal.SIGHUP)
            case Fault.EDGE_KILLED:
                _kill(master, *workers)
            case Fault.MASTER_KILLED:
                _kill(master)
            case _:
                _kill(*workers)
        until(partial(self._replaced, fault, master, workers), f"repaired after {fault}", PATIENCE * 2)

    def _workers(self, master: int) -> list[int]:
        return [one.pid for one in self.stack.processes() if one.parent == master]

    def _replaced(self, fault: Fault, master: int, workers: list[int]) -> bool:
        """Whether other processes run in the stead of those that were hit, and the app is ready."""
        place = self.stack.place
        found = {one.pid: one for one in self.stack.processes()}
        program = "edge" if fault in (Fault.EDGE_RELOADED, Fault.EDGE_KILLED) else "app"
        masters = [pid for pid, one in found.items() if one.program == program and _supervised(one.parent, found)]
        kept = master in masters if fault in (Fault.EDGE_RELOADED, Fault.WORKER_KILLED) else master not in masters
        fresh = [one for one in found.values() if one.parent in masters and one.pid not in workers]
        return kept and len(masters) == 1 and bool(fresh) and health.unready(place) is None


def _supervised(parent: int, found: Mapping[int, processes.Process]) -> bool:
    return parent in found and found[parent].program == "supervisor"


def _kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
