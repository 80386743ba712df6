"""Asking the person before something that cannot be undone or that changes the machine."""

from __future__ import annotations

import os
import sys

from stack.problem import Problem


def agreed(target: str, nothing: str) -> bool:
    """Whether the person said yes: typed, or CONFIRM=yes where nobody can type.

    Raises Problem when there is nobody to ask; `nothing` says what was not done, `target` which make target it was.
    """
    if os.environ.get("CONFIRM"):
        return os.environ["CONFIRM"] == "yes"
    if not sys.stdin.isatty():
        raise Problem(f"{nothing}: there is no terminal to ask on. If you mean it: make {target} CONFIRM=yes")
    return input("Type yes to go on: ").strip() == "yes"
