"""Asking the person before something that cannot be undone or that changes the machine."""

from __future__ import annotations

import os
import sys

from stack.problem import Problem


def agreed(target: str, nothing: str) -> bool:
    """Whether the person said yes: typed, or YES=1 (CONFIRM=yes) where nobody can type.

    Raises Problem when there is nobody to ask; `nothing` says what was not done, `target` which make target it was.
    """
    given = os.environ.get("YES") or os.environ.get("CONFIRM")
    if given:
        return given in ("1", "yes")
    if not sys.stdin.isatty():
        word = "CONFIRM=yes" if target in ("clean", "restore") else "YES=1"
        raise Problem(f"{nothing}: there is no terminal to ask on. If you mean it: make {target} {word}")
    return input("Type yes to go on: ").strip() == "yes"
