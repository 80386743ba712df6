"""The stack of this clone, as the make targets see it."""

from __future__ import annotations

from pathlib import Path

from stack import __main__ as commands
from stack import certificate
from stack.contained import Contained
from stack.embedded import Embedded
from stack.problem import Problem

Local = Embedded | Contained


def stack() -> Local:
    """The stack that was started here. Raises Problem where there is none."""
    found = commands.stack()
    if not isinstance(found, Local) or not authority(found).exists():
        raise Problem("There is no stack here to try. Start it: make up")
    return found


def authority(found: Local) -> Path:
    """The CA that its certificate is signed by."""
    return certificate.authority(found.place)
