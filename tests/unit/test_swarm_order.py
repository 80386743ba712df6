"""stack/swarm_order.py: orders wait for a leader, and for nothing else."""

from __future__ import annotations

import pytest

from stack import engine, swarm_order
from stack.problem import Problem


def _answers(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[tuple[object, ...]]:
    """The engine's, one after the other; those that are none are its complaints. What it is asked."""
    left, asked = list(answers), []

    def run(*words: object) -> str:
        asked.append(words)
        said = left.pop(0) if len(left) > 1 else left[0]
        if said != "done":
            raise Problem(said)
        return said

    monkeypatch.setattr(engine, "run", run)
    return asked


def test_an_order_waits_for_a_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given again until it was taken."""
    asked = _answers(monkeypatch, "raft: node lost leader status", "The swarm does not have a leader.", "done")
    assert swarm_order.order("node", "ls") == "done"
    assert asked == [("node", "ls")] * 3


def test_what_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting would not help."""
    asked = _answers(monkeypatch, "no such node")
    with pytest.raises(Problem, match="no such node"):
        swarm_order.order("node", "rm", "x")
    assert len(asked) == 1


def test_without_a_majority_it_says_where_to_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the engine said last."""
    _answers(monkeypatch, "rpc error: code = Unavailable")
    monkeypatch.setattr(swarm_order, "SECONDS", 0.1)
    with pytest.raises(Problem, match=r"quorum-loss\.md\n.*Unavailable"):
        swarm_order.order("node", "ls")
