"""Lines in, lines out, on a terminal or a pipe: what is being typed survives what arrives meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from typing import TextIO

from client.printable import printable

try:
    import readline
except ImportError:  # a Python without it edits lines as the terminal does
    readline = None  # type: ignore[assignment]

try:
    import termios
except ImportError:
    termios = None  # type: ignore[assignment]

_LINES_AHEAD = 100


class Console:
    """`interactive` when both ends are a terminal."""

    def __init__(self, given: TextIO | None = None, shown: TextIO | None = None) -> None:
        self._given = given or sys.stdin
        self._shown = shown or sys.stdout
        self.interactive = self._given.isatty() and self._shown.isatty()
        self.prompt = ""
        self._modes = termios.tcgetattr(self._given) if termios is not None and self._given.isatty() else None

    def restore(self) -> None:
        """Give the terminal back as it was: a thread may still be editing a line on it."""
        if termios is not None and self._modes is not None:
            termios.tcsetattr(self._given, termios.TCSADRAIN, self._modes)
            self._write("\r\x1b[K")

    def show(self, text: str) -> None:
        """Print one line, whatever it holds; a line that is being typed is drawn again below it."""
        if self.interactive:
            typed = readline.get_line_buffer() if readline is not None else ""
            self._write(f"\r\x1b[K{printable(text)}\n{self.prompt}{typed}")
        else:
            self._write(f"{printable(text)}\n")

    def status(self, text: str) -> None:
        """Show a line that the next one replaces; on a pipe, where nothing can be replaced, not at all."""
        if self.interactive:
            self._write(f"\r\x1b[K{printable(text)}")

    async def lines(self) -> AsyncIterator[str]:
        """What is typed, until the end of the input. A thread reads: a terminal has no other way that edits lines."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()
        free = threading.Semaphore(_LINES_AHEAD)

        def hand_over(line: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever would read
                loop.call_soon_threadsafe(queue.put_nowait, line)

        def read() -> None:
            while (line := self._line()) is not None:
                free.acquire()
                hand_over(line)
            hand_over(None)

        threading.Thread(target=read, daemon=True, name="input").start()
        while (line := await queue.get()) is not None:
            free.release()
            yield line

    def _line(self) -> str | None:
        if self.interactive:
            try:
                return input(self.prompt)
            except EOFError:
                return None
        line = self._given.readline()
        return line.rstrip("\n") if line else None

    def _write(self, text: str) -> None:
        self._shown.write(text)
        self._shown.flush()
