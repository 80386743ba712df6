"""The one supervisor of a stack: starting it, asking it, ending it."""

from __future__ import annotations

import os
import signal
import subprocess
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast

from stack import processes
from stack.place import Place
from stack.problem import Problem
from stack.unix_http import UnixTransport


@dataclass(frozen=True)
class ProgramState:
    """What the supervisor says of one program. `state` is its word: RUNNING, STARTING, BACKOFF, EXITED, FATAL, …"""

    name: str
    state: str
    pid: int
    detail: str


def control(place: Place) -> Path:
    """The supervisor's socket."""
    return place.supervision / "control.sock"


def states(place: Place) -> list[ProgramState]:
    """What each program does now; empty when no supervisor answers."""
    transport = UnixTransport(control(place), 5.0)
    try:
        with xmlrpc.client.ServerProxy("http://supervisor", transport=transport) as proxy:
            found = cast("list[dict[str, Any]]", proxy.supervisor.getAllProcessInfo())
    except (OSError, HTTPException, xmlrpc.client.Error):
        return []
    return [ProgramState(one["name"], one["statename"], one["pid"], one["description"]) for one in found]


def start(place: Place, environ: Mapping[str, str]) -> None:
    """Start the supervisor in the background; its programs inherit `environ`. Raises Problem when it refuses."""
    words: list[str | Path] = [
        place.python,
        "-m",
        "supervisor.supervisord",
        "-c",
        place.supervision / "supervisord.conf",
    ]
    clean = {key: os.environ[key] for key in ("PATH", "LANG", "TZ") if key in os.environ} | dict(environ)
    done = subprocess.run(
        words, env=clean, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem(f"The supervisor did not start: {(done.stderr or done.stdout).strip()}")


def reload(place: Place, program: str) -> None:
    """Have a program read its files anew (SIGHUP), if it runs."""
    for one in states(place):
        if one.name == program and one.pid:
            os.kill(one.pid, signal.SIGHUP)


def end(place: Place, grace_seconds: float) -> bool:
    """Ask the supervisor to stop its programs in order, and wait; False when none ran or it took too long."""
    found = [one for one in processes.ours(place) if one.program == "supervisor"]
    processes.send(found, signal.SIGTERM, place)
    return bool(found) and processes.gone(found, place, grace_seconds)
