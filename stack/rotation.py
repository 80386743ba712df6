"""Keeps the edge's logs bounded: nginx cannot rotate them by itself, and mtail must not miss a line."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from stack import processes
from stack.place import CLONE, Place

MOST_BYTES = 50 << 20
KEPT = 4
PAUSE_SECONDS = 15


def due(log: Path, most_bytes: int) -> bool:
    """Whether `log` has grown beyond `most_bytes`."""
    return log.exists() and log.stat().st_size > most_bytes


def shift(log: Path, kept: int = KEPT) -> None:
    """Rename `log` to `log.1`, the older ones one further, and drop the oldest.

    Renamed and not copied: nginx goes on writing to the renamed file until it is told, and mtail follows a renamed
    file to its end before it opens the new one, so no line is lost or counted twice.
    """
    for number in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))


def turn(place: Place, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Rotate what is due and let nginx open its logs anew; returns what was rotated."""
    rotated = [log for log in sorted(place.logs.glob("edge-*.log")) if due(log, most_bytes)]
    for log in rotated:
        shift(log)
    if rotated:
        found = [one for one in processes.ours(place) if one.program == "edge"]
        pids = {one.pid for one in found}
        processes.send([one for one in found if one.parent not in pids], signal.SIGUSR1, place)
    return rotated


def main() -> None:
    """Look every few seconds, for as long as the supervisor lives."""
    place = Place(CLONE, Path(sys.argv[1]))
    supervisor = os.getppid()
    while os.getppid() == supervisor:
        turn(place)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
