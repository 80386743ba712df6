"""The processes of one stack, recognised in /proc by what they are and by their state folder, never by name alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.place import Place
from stack.problem import Problem

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """One process. `begun` is its start time in clock ticks: with the pid it names a process for good."""

    pid: int
    begun: int
    parent: int
    program: str


def every() -> list[int]:
    """All pids of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def ours(place: Place) -> list[Process]:
    """The processes of the stack that lives at `place`, the orphans of a killed supervisor or nginx included."""
    found = {pid: one for pid in every() if (one := look(pid, place))}
    return [one for one in found.values() if not _unborn(one, found)]


def _unborn(one: Process, found: Mapping[int, Process]) -> bool:
    """A program that the supervisor has forked and that has not become itself yet: it looks like its parent."""
    parent = found.get(one.parent)
    return one.program == "supervisor" and parent is not None and parent.program == "supervisor"


def look(pid: int, place: Place) -> Process | None:
    """The process `pid`, if it belongs to the stack at `place`."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    program = recognise(argv, _cwd(pid), place)
    if program is None or fields[0] == "Z":
        return None
    return Process(pid, int(fields[19]), int(fields[1]), program)


def recognise(argv: list[str], cwd: str, place: Place) -> str | None:
    """Which program of the stack has this command line and working directory; None for everything else."""
    line = " ".join(argv)
    if argv[0] == str(place.python):
        words = {
            "supervisor.supervisord": "supervisor",
            "gunicorn": "app",
            "stack.rotation": "rotation",
            "stack.carrier": "carrier",
        }
        return next((name for word, name in words.items() if word in argv), None)
    # nginx overwrites its arguments; its working directory is what a worker keeps of the master's.
    if argv[0].startswith("nginx: ") and (cwd == str(place.edge) or f" {place.edge}/" in line):
        return "edge"
    if argv[0].rpartition("/")[2] == "mtail" and f"{place.edge}/" in line:
        return "mtail"
    if argv[0].rpartition("/")[2] == "prometheus" and f"--config.file={place.prometheus}/" in line:
        return "prometheus"
    return None


def _cwd(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def alive(process: Process, place: Place) -> bool:
    """Whether it still runs, and is still the same process; its parent may have died and changed."""
    now = look(process.pid, place)
    return now is not None and now.begun == process.begun


def send(processes: Iterable[Process], number: signal.Signals, place: Place) -> None:
    """Signal those that still are what they were."""
    for process in processes:
        if alive(process, place):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def stop(place: Place, grace_seconds: float) -> list[Process]:
    """End what is left of the stack: supervisor first, then the app, then the edge; returns what was found.

    Each is asked politely and has `grace_seconds` before SIGKILL.
    """
    found = ours(place)
    polite = {"supervisor": signal.SIGKILL, "app": signal.SIGTERM, "edge": signal.SIGQUIT}
    for program in ("supervisor", "app", "edge", "rotation", "mtail", "prometheus", "carrier"):
        some = [process for process in found if process.program == program]
        # Masters are told, and tell their children; an orphan has lost its master and is told directly.
        pids = {process.pid for process in some}
        send([one for one in some if one.parent not in pids], polite.get(program, signal.SIGTERM), place)
        if not gone(some, place, grace_seconds):
            send(some, signal.SIGKILL, place)
            gone(some, place, 5)
    return found


def gone(processes: list[Process], place: Place, seconds: float) -> bool:
    """Wait until none of `processes` runs; False when some still do after `seconds`."""
    return until(lambda: not any(alive(process, place) for process in processes), seconds)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it holds; False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def patiently(command: Callable[[], str], seconds: float) -> str:
    """What it returns, once it raises no Problem; after `seconds` the Problem is raised."""
    ends = time.monotonic() + seconds
    while True:
        try:
            return command()
        except Problem:
            if time.monotonic() > ends:
                raise
        time.sleep(POLL_SECONDS)
