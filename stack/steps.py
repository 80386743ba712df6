"""The progress a person watches: one line per step, with its seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """Prints a line per step and remembers whether anything was changed."""

    def __init__(self) -> None:
        self.changed = False
        self.began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the first step."""
        return time.monotonic() - self.began

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Time one step. What the body appends to the yielded list is shown after the title, and counts as a change."""
        begin, notes = time.monotonic(), list[str]()
        try:
            yield notes
        except BaseException:
            self.line("failed", title, time.monotonic() - begin, "")
            raise
        self.changed = self.changed or bool(notes)
        self.line("ok", title, time.monotonic() - begin, ": " + ", ".join(notes) if notes else "")

    def line(self, mark: str, title: str, seconds: float, rest: str) -> None:
        """One finished step."""
        print(f"  {mark:<6} {seconds:6.1f} s  {title}{rest}", flush=True)

    def say(self, text: str) -> None:
        """A remark between two steps, on standard error."""
        print(text, file=sys.stderr, flush=True)
