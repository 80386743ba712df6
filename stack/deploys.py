"""Who changed what runs, when, and what came of it: a line of JSON each in the state folder, which nothing deletes."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import compose
from stack.place import Place

NAME = "deploys.log"


@contextmanager
def noted(place: Place, command: str) -> Iterator[None]:
    """A line about the block, where it changed what runs, or failed to change what had run before."""
    before, began, outcome = _running(place), time.time(), "done"
    try:
        yield
    except BaseException as error:
        outcome = f"failed: {str(error).splitlines()[0]}" if str(error) else f"failed: {type(error).__name__}"
        raise
    finally:
        if _running(place) != before or (outcome != "done" and any(before)):
            write(place, command, outcome, began)


def write(place: Place, command: str, outcome: str, began: float) -> None:
    """Add a line. `by` is who became root, where somebody did."""
    line = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seconds": round(time.time() - began),
        "command": command,
        "release": place.clone.name,
        "by": os.environ.get("SUDO_USER") or getpass.getuser(),
        "outcome": outcome,
    }
    place.state.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (place.state / NAME).open("a") as log:
        log.write(json.dumps(line) + "\n")


def _running(place: Place) -> list[str]:
    """What was brought up last, as each kind of stack remembers it."""
    records = (place.record, compose.folder(place) / "cluster.json")
    return [_text(path) for path in records]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
