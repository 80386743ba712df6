"""One change at a time: two `make up` at once would install, migrate and start twice."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.place import Place
from stack.problem import Problem

NAME = ".lock"
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.2


@contextmanager
def exclusive(place: Place, say: Callable[[str], None], seconds: float = WAIT_SECONDS) -> Iterator[bool]:
    """Hold the stack's lock; yields whether we had to wait for somebody. Raises Problem after `seconds`.

    The kernel drops the lock when its holder dies, so a killed command blocks nobody.
    """
    place.state.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(place.state / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        waited = _acquire(handle, say, seconds)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield waited
    finally:
        os.close(handle)


def refuse_strangers(state: Path) -> None:
    """Raise Problem when the stack in `state` was started by somebody else: its files are theirs, or root's users'."""
    try:
        owner = (state / NAME).stat().st_uid
    except OSError:
        return
    if owner != os.geteuid():
        name = "root" if owner == 0 else f"the user with the id {owner}"
        raise Problem(
            f"The stack in {state} belongs to another user, {name}. Run this as {name}, "
            "or set PORTCULLIS_STATE to a folder of your own."
        )


def _acquire(handle: int, say: Callable[[str], None], seconds: float) -> bool:
    deadline, waited = time.monotonic() + seconds, False
    while not _try(handle):
        holder = os.pread(handle, 20, 0).decode() or "unknown"
        if time.monotonic() > deadline:
            raise Problem(f"Another make command (process {holder}) has been busy with this stack for {seconds:.0f} s.")
        if not waited:
            say(f"Another make command (process {holder}) is busy with this stack: waiting for it.")
        waited = True
        time.sleep(POLL_SECONDS)
    return waited


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
