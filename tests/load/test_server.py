"""What a load run sees of the app's memory."""

from __future__ import annotations

import subprocess
import sys

from loadtest.server import Memory

MIB = 1024 * 1024


def test_memory_follows_a_process_to_its_successor() -> None:
    """Processes are looked for once, and again only when one of them is gone; without any there is no figure."""
    running: list[subprocess.Popen[bytes]] = []
    asked = 0

    def find() -> list[int]:
        nonlocal asked
        asked += 1
        return [one.pid for one in running]

    memory = Memory(find)
    assert memory() is None
    for number in (2, 3):
        words = [sys.executable, "-c", "print(flush=True); input()"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
            assert one.stdout is not None
            one.stdout.readline()
            running.append(one)
            first, second = memory(), memory()
            running.remove(one)
            one.kill()
        assert first and second
        assert MIB < second < 200 * MIB
        assert asked == number
    assert memory() is None
