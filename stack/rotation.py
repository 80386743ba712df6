"""Keeps the edge's logs bounded: nginx cannot rotate them by itself. Run under the supervisor, as the edge's user."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from nginx.rotate import follow, rotate
from stack import processes
from stack.place import CLONE, Place

MOST_BYTES = 50 << 20
PAUSE_SECONDS = 15


def due(log: Path, most_bytes: int) -> bool:
    """Whether `log` has grown beyond `most_bytes`."""
    return log.exists() and log.stat().st_size > most_bytes


def reopen(place: Place) -> None:
    """Let nginx open its logs anew; a killed master's orphans are told as well."""
    found = [one for one in processes.ours(place) if one.program == "edge"]
    pids = {one.pid for one in found}
    processes.send([one for one in found if one.parent not in pids], signal.SIGUSR1, place)


def turn(place: Place, most_bytes: int = MOST_BYTES) -> bool:
    """Rotate the access log where it is due; returns whether mtail follows the present one."""
    if due(place.logs / "edge-access.log", most_bytes):
        return rotate(place.state)
    return follow(place.state, patience=1.0)


def turn_errors(place: Place, most_bytes: int = MOST_BYTES) -> None:
    """Rotate the log of what nginx itself complains of, where it is due."""
    errors = place.logs / "edge-error.log"
    if due(errors, most_bytes):
        errors.replace(errors.with_name("edge-error.log.1"))
        reopen(place)


def main() -> None:
    """Look every few seconds, for as long as the supervisor lives."""
    place = Place(CLONE, Path(sys.argv[1]))
    supervisor = os.getppid()
    while os.getppid() == supervisor:
        turn_errors(place)
        turn(place)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
