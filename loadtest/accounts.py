"""Accounts for a run: made in the local stack by its own interpreter, or read from a file that was made on its host."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from loadtest.local import Local
from loadtest.target import Account
from stack import app_command, compose
from stack.embedded import Embedded
from stack.problem import Problem

SOURCE = Path(__file__).with_name("mint.py")
SECONDS = "3600"


def make(stack: Local, count: int) -> list[Account]:
    """New accounts, whose buckets are full and whose tokens outlive the run. Raises Problem."""
    words = ("-c", SOURCE.read_text(), f"load-{secrets.token_hex(3)}-", str(count), SECONDS)
    if isinstance(stack, Embedded):
        said = app_command.python(stack.place, stack.settings, *words)
    else:
        said = compose.run(stack.place, "exec", "--no-TTY", "app", "python", *words)
    return [Account(name, token) for name, token in json.loads(said)]


def read(path: Path) -> list[Account]:
    """The accounts of a file that `python -m loadtest accounts COUNT` wrote. Raises Problem."""
    try:
        return [Account(name, token) for name, token in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise Problem(f"{path} cannot be read as accounts: {error}") from None


class Purse:
    """Hands out accounts, each of them once: a used one may be throttled or cooling down."""

    def __init__(self, accounts: list[Account]) -> None:
        self._left = list(reversed(accounts))

    def take(self, count: int) -> list[Account]:
        """So many that nobody has used. Raises Problem."""
        if count > len(self._left):
            raise Problem(f"{count} fresh accounts are needed, and {len(self._left)} are left: make more.")
        return [self._left.pop() for _ in range(count)]
