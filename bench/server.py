"""A peer's server: a process of its own, pinned to one core, and the CPU time it and its children used."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 15.0
TICKS = os.sysconf("SC_CLK_TCK")

Address = str | tuple[str, int]


class ServerError(Exception):
    """A server that did not start, lost a process, or went away."""


class Server:
    """One started server. Usable as a context manager, which stops it."""

    def __init__(self, command: Sequence[str], address: Address, core: int, env: Mapping[str, str], log: Path) -> None:
        """Start `command` on `core` with exactly `env` on top of ours; its output goes to `log`."""
        self.address, self._log = address, log
        self._pids: set[int] = set()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                cwd=Path(__file__).parents[1],
                env=os.environ | dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Server:
        """Wait until the server accepts connections."""
        deadline = time.monotonic() + START_SECONDS
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise ServerError(f"{self._process.args!r} did not start:\n{self._tail()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        """Ask the server to stop, and end it when it does not in time."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def connect(self) -> socket.socket:
        """Return a new connection."""
        if isinstance(self.address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self.address)
            return connection
        connection = socket.create_connection(self.address, timeout=START_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def cpu_seconds(self) -> float:
        """Return user and system time of all its processes and threads.

        Raises ServerError when a process came or went since the first call: its time would be missing.
        """
        self._pids = self._pids or family(self._process.pid)
        if family(self._process.pid) != self._pids:
            raise ServerError(f"a process of {self._process.args!r} came or went:\n{self._tail()}")
        return sum(cpu_seconds(pid) for pid in self._pids)

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _accepts(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True


def stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on (proc(5)); the second may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of one process, all its threads included, in steps of a clock tick."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def family(pid: int) -> set[int]:
    """Return the process and all its descendants."""
    parents = dict(_parents())
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int(stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
