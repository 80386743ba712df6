"""Hashing passwords: correct, bounded, and telling nothing by its time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.passwords import Passwords, PasswordsBusy, one_time_password
from app.settings import Settings


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(Settings(argon2_threads=1, argon2_queue=1))
    yield made
    made.close()


async def test_verify(passwords: Passwords) -> None:
    """Argon2id with the settings' cost; the right password and no other."""
    hashed = await passwords.hash("opensesame")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(hashed, "opensesame")
    assert not await passwords.verify(hashed, "opensesamE")
    assert not await passwords.verify("not a hash", "opensesame")
    assert await passwords.hash("opensesame") != hashed


async def test_accents_compose_alike(passwords: Passwords) -> None:
    """One password on every keyboard (RFC 8265 §4.2.2)."""
    assert await passwords.verify(await passwords.hash("caf\u00e9"), "cafe\u0301")


async def test_nobody_takes_as_long_as_somebody(passwords: Passwords) -> None:
    """An unknown name costs one real verification, so that its time tells nothing.

    The processor's time is compared: how long one of them waits for a processor is up to what else runs.
    """
    hashed = await passwords.hash("opensesame")

    async def seconds(stored: str | None) -> float:
        begun = time.process_time()
        assert not await passwords.verify(stored, "wrong")
        return time.process_time() - begun

    rounds = [(await seconds(None), await seconds(hashed)) for _ in range(7)]
    ratio = statistics.median(nobody for nobody, _ in rounds) / statistics.median(known for _, known in rounds)
    assert 0.5 < ratio < 2


async def test_the_queue_is_bounded(passwords: Passwords) -> None:
    """Beyond threads and queue it says busy at once, and has room again afterwards."""
    answers = await asyncio.gather(*(passwords.hash("x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, PasswordsBusy) for answer in answers) == 3
    assert await passwords.hash("x")


async def test_hashing_gives_way_to_the_event_loop(passwords: Passwords) -> None:
    """Its threads have a lower priority than the one that serves, whose own stays as it was."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    await passwords.hash("x")
    threads = [one.native_id for one in threading.enumerate() if one.name.startswith("argon2")]
    assert [os.getpriority(os.PRIO_PROCESS, one or 0) for one in threads] == [min(19, before + 10)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_cancelled_callers_free_nothing_too_early(passwords: Passwords) -> None:
    """Who goes away while hashing runs does not make room for more work than threads can do."""
    tasks = [asyncio.create_task(passwords.hash("x")) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(10):
        while True:
            try:
                assert await passwords.hash("y")
                break
            except PasswordsBusy:
                await asyncio.sleep(0.005)


async def test_needs_rehash(passwords: Passwords) -> None:
    """A hash of cheaper parameters is noticed."""
    stronger = Passwords(Settings(argon2_passes=3))
    hashed = await passwords.hash("opensesame")
    assert stronger.needs_rehash(hashed)
    assert not passwords.needs_rehash(hashed)
    stronger.close()


def test_one_time_passwords() -> None:
    """Long enough to be accepted as a password, never the same."""
    made = {one_time_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password) == 23 for password in made)


async def test_workers_share_the_turns(tmp_path: Path) -> None:
    """With several workers it hashes only while it has one of the turns that they share, and no two have the same."""
    (tmp_path / "run").mkdir()
    shared = Settings(
        state=tmp_path, workers=2, argon2_threads=2, database_url="postgresql://p@db/p", redis_url="redis://valkey"
    )
    passwords = Passwords(shared)
    try:
        with contextlib.ExitStack() as others:
            for number in range(2):
                turn = others.enter_context((tmp_path / "run" / f"argon2-{number}.lock").open("wb"))
                fcntl.flock(turn, fcntl.LOCK_EX)
            waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(2)]
            done, _ = await asyncio.wait(waiting, timeout=0.5)
            assert not done, "both turns are taken"
        assert len(await asyncio.gather(*waiting)) == 2
        assert await passwords.hash("x"), "what was taken is given back"
    finally:
        passwords.close()
