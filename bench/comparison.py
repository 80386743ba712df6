"""A run over several peers: all servers up, bursts in shuffled turns, so that drift meets everybody alike."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench.peer import Peer
from bench.room import Burst, Room
from bench.server import Server

WARM_SECONDS = 0.5
TEND_SECONDS = 0.5


class Plan(NamedTuple):
    """How much to measure."""

    receivers: int
    windows: tuple[int, ...]
    rounds: int
    seconds: float


@dataclass
class Comparison:
    """The bursts of a run: `bursts[name, window][round]`."""

    plan: Plan
    bursts: dict[tuple[str, int], list[Burst]] = field(default_factory=dict)

    def add(self, name: str, window: int, burst: Burst) -> None:
        """Append the burst of the next round."""
        self.bursts.setdefault((name, window), []).append(burst)

    def ratios(self, name: str, reference: str, window: int) -> list[float]:
        """Return deliveries per CPU-second divided by the reference's, round by round."""
        pairs = zip(self.bursts[name, window], self.bursts[reference, window], strict=True)
        return [mine.per_cpu_second / theirs.per_cpu_second for mine, theirs in pairs]


def cores() -> tuple[int, int]:
    """Return the servers' core and the clients' core: the same one only where there is no second."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def compare(peers: Sequence[Peer], plan: Plan, progress: Callable[[str], None]) -> Comparison:
    """Run the plan. Raises ServerError, RoomError or ReceiveError when the run was not clean."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server_core, client_core = cores()
    result = Comparison(plan)
    with contextlib.ExitStack() as stack:
        servers = [_start(stack, peer, plan, server_core, progress) for peer in peers]
        stack.enter_context(pinned(client_core))
        rooms = _fill(stack, peers, servers, plan, progress)
        for room in rooms.values():
            room.burst(max(plan.windows), WARM_SECONDS)
        for turn in range(plan.rounds):
            progress(f"round {turn + 1} of {plan.rounds}")
            for name, window in _shuffled(rooms, plan.windows):
                result.add(name, window, rooms[name].burst(window, plan.seconds))
    return result


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run this process on one core inside the context."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _start(stack: contextlib.ExitStack, peer: Peer, plan: Plan, core: int, progress: Callable[[str], None]) -> Server:
    progress(f"starting {peer.name}")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portcullis-bench-")))
    return stack.enter_context(peer.start(folder, core, plan.receivers))


def _fill(
    stack: contextlib.ExitStack,
    peers: Sequence[Peer],
    servers: Sequence[Server],
    plan: Plan,
    progress: Callable[[str], None],
) -> dict[str, Room]:
    rooms: dict[str, Room] = {}
    meanwhile = _tending(rooms)
    for peer, server in zip(peers, servers, strict=True):
        progress(f"filling the room of {peer.name}")
        room = Room(peer, server, plan.receivers, meanwhile)
        rooms[peer.name] = stack.enter_context(contextlib.closing(room))
    return rooms


def _tending(rooms: Mapping[str, Room]) -> Callable[[], None]:
    """Return what tends all rooms that are idle, at most every TEND_SECONDS however often it is called."""
    last = time.monotonic()

    def tend() -> None:
        nonlocal last
        if time.monotonic() - last >= TEND_SECONDS:
            for room in rooms.values():
                room.tend()
            last = time.monotonic()

    return tend


def _shuffled(rooms: Mapping[str, Room], windows: Sequence[int]) -> list[tuple[str, int]]:
    turns = [(name, window) for name in rooms for window in windows]
    random.shuffle(turns)
    return turns
