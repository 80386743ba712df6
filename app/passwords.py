"""Passwords: Argon2id (RFC 9106) in a bounded pool of threads, which give way to whoever serves sockets."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.settings import Settings

MAX_CHARACTERS: Final = 256
"""Longer passwords add no safety, only work."""

_NICE: Final = 10
"""How much nicer (nice(2)) the threads that hash are than the event loops beside them: they weigh a tenth."""

T = TypeVar("T")


class PasswordsBusy(Exception):  # noqa: N818 - the state of a thing, as StoreDown is
    """All threads are hashing and the queue is full; a second later there is room again."""


class Passwords:
    """Hashes and verifies; at most `argon2_threads` at once over all workers, with `argon2_queue` waiting in each, else
    PasswordsBusy.
    """

    def __init__(self, settings: Settings) -> None:
        self._hasher = PasswordHasher(settings.argon2_passes, settings.argon2_memory_kib, parallelism=1)
        # On Linux nice(2) is about the thread that calls it, whatever POSIX says.
        self._pool = ThreadPoolExecutor(settings.argon2_threads, "argon2", initializer=os.nice, initargs=(_NICE,))
        self._places = BoundedSemaphore(settings.argon2_threads + settings.argon2_queue)
        self._nobody = self._hasher.hash(secrets.token_urlsafe())
        self._turns = _turns(settings)

    async def hash(self, password: str) -> str:
        """The password's hash in PHC form, with a salt of its own. Raises PasswordsBusy."""
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash (no such account) it takes as long and is False.

        Raises PasswordsBusy.
        """
        matches = await self._run(lambda: self._matches(password_hash or self._nobody, _normal(password)))
        return matches and password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters than the settings ask for now."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let running work end and drop the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _matches(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        """The place is given back when the thread is done, not when the caller goes away."""
        if not self._places.acquire(blocking=False):
            raise PasswordsBusy
        future = self._pool.submit(self._in_turn, work)
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

    def _in_turn(self, work: Callable[[], T]) -> T:
        """Do the work in a turn that no other process has; where all are taken, in the first that comes back."""
        with contextlib.ExitStack() as held:
            for number, turn in enumerate(self._turns, 1):
                file = held.enter_context(turn.open("wb"))
                # The last one is waited for.
                wait = 0 if number == len(self._turns) else fcntl.LOCK_NB
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | wait)
                    break
            return work()


def _turns(settings: Settings) -> Sequence[Path]:
    """A file for each turn, where workers share them: its lock goes with whoever is killed."""
    if settings.workers == 1:
        return ()
    names = [settings.state / "run" / f"argon2-{number}.lock" for number in range(settings.argon2_threads)]
    return random.sample(names, len(names))


def one_time_password() -> str:
    """A password of 100 bits that is easy to read out and type."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))


def _normal(password: str) -> bytes:
    """One password, whichever way the keyboard composed its accents (RFC 8265 §4.2.2)."""
    return unicodedata.normalize("NFC", password).encode()
