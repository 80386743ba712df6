"""One store, one process: the lock, its holder's name, and what a fork inherits."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from app.lock import StoreLock, StoreLocked


def test_a_held_lock_is_refused_with_the_holders_pid(tmp_path: Path) -> None:
    """The sentence names file and process; the file is ours alone."""
    path = tmp_path / "chat.db.lock"
    with StoreLock(path), pytest.raises(StoreLocked, match=f"{path} is locked by process {os.getpid()} "):
        StoreLock(path).acquire()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with StoreLock(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_holder_that_left_no_pid_is_another_process(tmp_path: Path) -> None:
    """The moment between taking the lock and naming oneself."""
    path = tmp_path / "lock"
    with StoreLock(path):
        path.write_text("")
        with pytest.raises(StoreLocked, match="another process"):
            StoreLock(path).acquire()


def test_a_waiting_one_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    """Within its patience."""
    path, waiting, entered = tmp_path / "lock", StoreLock(tmp_path / "lock", wait_seconds=20.0), threading.Event()

    def wait() -> None:
        with waiting:
            entered.set()

    thread = threading.Thread(target=wait)
    with StoreLock(path):
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(20)
    thread.join()


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    """So that every exit path may do it."""
    lock = StoreLock(tmp_path / "lock")
    lock.release()
    lock.acquire()
    lock.release()
    lock.release()
    with StoreLock(tmp_path / "lock"):
        pass


def test_a_lock_is_not_followed_through_a_symbolic_link(tmp_path: Path) -> None:
    """Whoever may write in the folder must not make us write elsewhere."""
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        StoreLock(tmp_path / "lock").acquire()
    assert not (tmp_path / "victim").exists()


def test_a_forked_worker_keeps_the_lock_of_its_dead_master(tmp_path: Path) -> None:
    """And a child that releases its copy does not take the lock from the parent."""
    path = tmp_path / "lock"
    lock = StoreLock(path)
    lock.acquire()
    ready, done = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.read(ready, 1)
        lock.release()
        os._exit(0)
    os.close(ready)
    lock.release()
    with pytest.raises(StoreLocked):
        StoreLock(path).acquire()
    os.write(done, b".")
    os.close(done)
    os.waitpid(worker, 0)
    with StoreLock(path):
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(StoreLocked):
            StoreLock(path).acquire()


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    """No stale lock file ever has to be deleted by hand."""
    path = tmp_path / "lock"
    ready, done = os.pipe()
    holder = os.fork()
    if holder == 0:
        StoreLock(path).acquire()
        os.write(done, b".")
        signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(done)
    with pytest.raises(StoreLocked, match=f"process {holder} "):
        StoreLock(path).acquire()
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    with StoreLock(path):
        pass
