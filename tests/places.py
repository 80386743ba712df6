"""Where tests keep what they make: in memory where there is enough of it, since half of a store's test is its disk."""

from __future__ import annotations

import os
import re
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the service users must reach it
DISK = Path("/var/tmp")  # noqa: S108 - the same
ENOUGH = 8 << 30
"""Bytes. A whole run takes less than half of it."""


def folder() -> Path:
    """A folder that everybody may enter and from which programs may be started."""
    return MEMORY if _fits(MEMORY) else DISK


def _fits(place: Path) -> bool:
    if not place.is_dir():
        return False
    found = os.statvfs(place)
    free = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
    return (
        not found.f_flag & os.ST_NOEXEC
        and found.f_bavail * found.f_frsize >= ENOUGH
        and free is not None
        and int(free[1]) << 10 >= ENOUGH
    )


FOLDER = folder()
"""The same for all of a run."""
