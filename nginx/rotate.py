"""Rotate the edge's access log without mtail losing or repeating a line.

After a rename, nginx's workers write to the old file until each has handled SIGUSR1, while mtail
leaves a file at its end as soon as its name is another file's or nobody's: what is written in
between would never be counted. So mtail follows a hard link of its own (state/edge/log/access),
which moves to the new log only once nobody writes to the old one and mtail has read all of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

KEPT = 4
_PAUSE_SECONDS = 0.02
_ACCESS_MODE = 0o3


def rotate(state: Path, reopen: Callable[[], None], *, kept: int = KEPT, patience: float = 10.0) -> bool:
    """Rename the access log to .1 (older ones one further, the oldest dropped) and let mtail follow.

    `reopen` sends SIGUSR1 to nginx's master. Returns what `follow` returns; while an earlier rotation
    is not followed yet, only that is tried again. Linux only; run it as root or as nginx's own user.
    """
    log = state / "logs" / "edge-access.log"
    if log.exists() and log.samefile(_followed(state)):
        _shift(log, kept)
        reopen()
    return follow(state, patience=patience)


def follow(state: Path, *, patience: float = 10.0) -> bool:
    """Move mtail to the present log as soon as the former is complete; False if `patience` seconds do not do.

    Nothing is lost then: mtail stays with the former log, and the next call goes on. May always be called.
    """
    log, followed = state / "logs" / "edge-access.log", _followed(state)
    ends = time.monotonic() + patience
    while not (log.exists() and (log.samefile(followed) or _complete(followed))):
        if time.monotonic() > ends:
            return False
        time.sleep(_PAUSE_SECONDS)
    if not log.samefile(followed):
        part = followed.with_name("access.part")
        part.unlink(missing_ok=True)
        os.link(log, part)
        # In one step, so that mtail never finds the name missing.
        part.replace(followed)
    return True


def _followed(state: Path) -> Path:
    return state / "edge" / "log" / "access"


def _shift(log: Path, kept: int) -> None:
    for number in range(kept - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))


def _complete(path: Path) -> bool:
    """Whether nobody writes to the file any more and every reader has reached its end."""
    size = path.stat().st_size
    return all(reads and position >= size for reads, position in _holders(path))


def _holders(path: Path) -> Iterator[tuple[bool, int]]:
    """Each open descriptor of the file: whether it only reads, and its position."""
    wanted = path.stat()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        # Processes end while we look, and those of other users are none of ours.
        with suppress(OSError):
            if os.path.samestat(descriptor.stat(), wanted):
                yield _position(descriptor)


def _position(descriptor: Path) -> tuple[bool, int]:
    facts = dict(
        line.split(":", 1) for line in (descriptor.parents[1] / "fdinfo" / descriptor.name).read_text().splitlines()
    )
    return int(facts["flags"], 8) & _ACCESS_MODE == os.O_RDONLY, int(facts["pos"])
