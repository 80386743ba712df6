"""Rotate the edge's access log without mtail losing or repeating a line.

A worker of nginx writes to the old file until it has looked again, which it does before the first
line that comes VALID_SECONDS after its last look; mtail leaves a file at its end as soon as its
name is another file's or nobody's. What is written in between would never be counted. So mtail
follows a hard link of its own (state/edge/log/access), which moves to the new log only once nobody
writes to the old one any more and mtail has read all of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEPT = 4
VALID_SECONDS = 1
"""How long a worker of nginx trusts what it knows of the log's name (`open_log_file_cache`)."""
SETTLED_SECONDS = VALID_SECONDS + 1.5
"""Without a line for so long, nobody writes to the old file any more: a worker may have been slow since it looked."""
_PAUSE_SECONDS = 0.02
_ACCESS_MODE = 0o3


def rotate(state: Path, *, kept: int = KEPT, patience: float = 10.0) -> bool:
    """Put a new access log in the place of the present one, which becomes .1, and let mtail follow.

    Older ones go one further, the oldest is dropped.

    Returns what `follow` returns; while an earlier rotation is not followed yet, only that is tried again. Linux only;
    run it as root or as nginx's own user, where mtail's processes can be seen.
    """
    log = state / "logs" / "edge-access.log"
    if log.samefile(_followed(state)):
        _shift(log, kept)
    return follow(state, patience=patience)


def follow(state: Path, *, patience: float = 10.0) -> bool:
    """Move mtail to the present log as soon as the former is complete; False if `patience` seconds do not do.

    Nothing is lost then: mtail stays with the former log, and the next call goes on. May always be called.
    """
    log, followed = state / "logs" / "edge-access.log", _followed(state)
    ends = time.monotonic() + patience
    while not (log.samefile(followed) or _complete(followed)):
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
    os.link(log, log.with_name(f"{log.name}.1"))
    fresh = log.with_name(f"{log.name}.part")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o640)
    owner = log.stat()
    os.chown(fresh, owner.st_uid, owner.st_gid)
    # In one step: a worker that looks and finds no file leaves its line out.
    fresh.replace(log)


def _complete(path: Path) -> bool:
    """Whether nobody can write to the file any more, and every reader has reached its end.

    Its status changed with the rename, and with each line since: the writers look in time.
    """
    found = path.stat()
    settled = time.time() - found.st_ctime >= SETTLED_SECONDS
    return settled and all(position >= found.st_size for position in _readers(path))


def _readers(path: Path) -> Iterator[int]:
    """The position of each descriptor that only reads the file."""
    wanted = path.stat()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        # Processes end while we look, and those of other users are none of ours.
        with suppress(OSError):
            if os.path.samestat(descriptor.stat(), wanted):
                reads, position = _position(descriptor)
                if reads:
                    yield position


def _position(descriptor: Path) -> tuple[bool, int]:
    facts = dict(
        line.split(":", 1) for line in (descriptor.parents[1] / "fdinfo" / descriptor.name).read_text().splitlines()
    )
    return int(facts["flags"], 8) & _ACCESS_MODE == os.O_RDONLY, int(facts["pos"])
