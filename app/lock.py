"""The lock that keeps a second process off one SQLite store, and two migrations apart."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_RETRY_SECONDS = 0.05


class StoreLocked(Exception):  # noqa: N818
    """Another process holds the lock; the message is the sentence to show."""


class StoreLock:
    """An exclusive flock(2) on a file that stays behind, mode 0600, with the holder's pid in it. No path: no lock.

    The lock belongs to the open file description: forked children (a gunicorn master's workers) hold it too, so it is
    free only when the last of them is gone. Programs started by exec do not inherit it.
    """

    def __init__(self, path: Path | None, wait_seconds: float = 0.0) -> None:
        self._path = path
        self._wait = wait_seconds
        self._file = -1

    def acquire(self) -> None:
        """Take the lock, waiting up to `wait_seconds`. Blocks the thread. Raises StoreLocked, OSError."""
        if self._path is None:
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._flock(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        # The lock is what counts; on a full disk only the courtesy of naming its holder is lost.
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give this process's hold back. Harmless when repeated.

        Closing, never LOCK_UN: in a forked child LOCK_UN would take the lock from its parent as well.
        """
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _flock(self, file: int) -> None:
        deadline = time.monotonic() + self._wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StoreLocked(self._sentence(file)) from None
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _sentence(self, file: int) -> str:
        pid = os.pread(file, 32, 0).decode("ascii", "replace").strip()
        holder = f"process {pid} (or a worker it left behind)" if pid else "another process"
        return f"{self._path} is locked by {holder}: stop it first, one store serves one process."
