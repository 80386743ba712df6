"""What is asked of the managers: while one is lost, and as it comes back, they elect a leader, and an order waits."""

from __future__ import annotations

from pathlib import Path

from stack import engine, processes
from stack.problem import Problem

SECONDS = 150.0
UNLED = (
    "does not have a leader",
    "node lost leader status",
    "DeadlineExceeded",
    "deadline exceeded",
    "Unavailable",
    # Only the leader lets a container into a network.
    "Could not attach to network",
)
"""What an engine says meanwhile."""


def order(*words: str | Path) -> str:
    """As `engine.run`, once the managers agree on a leader. Raises Problem, also where they do not in time."""
    said = ""

    def obeyed() -> bool:
        nonlocal said
        try:
            said = engine.run(*words)
        except Problem as problem:
            if not any(word in str(problem) for word in UNLED):
                raise
            said = str(problem)
            return False
        return True

    if not processes.until(obeyed, SECONDS):
        raise Problem(f"The managers have no leader after {SECONDS:.0f} s: docs/operate/quorum-loss.md\n  {said}")
    return said
