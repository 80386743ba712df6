"""How long a test waits, in one place: a slow machine sets TEST_SCALE above 1."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

SCALE = float(os.environ.get("TEST_SCALE", "1"))
PATIENCE = 15 * SCALE
"""Seconds until a condition that should hold any moment counts as failed."""
THOROUGH = "THOROUGH" in os.environ
"""Set by `make test-all`: more kills, more examples, more time."""
_PAUSE = 0.02

Found = TypeVar("Found")


def until(ask: Callable[[], Found], what: str, seconds: float = PATIENCE) -> Found:
    """Ask until the answer is true, and return it; fail with `what` after `seconds`."""
    ends = time.monotonic() + seconds
    while not (found := ask()):
        if time.monotonic() > ends:
            raise AssertionError(f"not within {seconds:g} s: {what}; last answer {found!r}")
        time.sleep(_PAUSE)
    return found
