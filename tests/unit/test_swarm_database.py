"""stack/swarm_database.py: who is promoted, and when nobody is."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stack import swarm_database, swarm_job
from stack.problem import Problem
from stack.swarm_database import State, promote

LOST = State("postgres-1", "absent", 0)
LEADS = State("postgres-1", "primary", 9)
LESS, MORE = State("postgres-2", "standby", 5), State("postgres-3", "standby", 7)
NOBODY = (LOST, State("postgres-2", "absent", 0), State("postgres-3", "absent", 0))
Found = tuple[str, list[tuple[str, ...]]]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    """Servers that say of themselves what they are told to; what was done to them, in order."""

    def asked(
        *states: State, planned: bool = False, unproven: bool = False, hosts: str = "123", runs: str = "123"
    ) -> Found:
        did: list[tuple[str, ...]] = []
        monkeypatch.setattr(swarm_database, "states", lambda _: list(states))
        monkeypatch.setattr(swarm_database, "labelled", lambda label: [label] if label[-1] in hosts else [])
        monkeypatch.setattr(swarm_database, "stop", lambda name, wait: did.append(("stop", name, str(wait))))
        monkeypatch.setattr(swarm_database, "_peer", lambda _, *words: did.append(words))
        monkeypatch.setattr(swarm_database, "_runs", lambda name: name[-1] in runs)
        monkeypatch.setattr(swarm_database, "_role", lambda *_: "primary")
        monkeypatch.setattr(swarm_job, "run", lambda _stack, _config, name, _job, words: did.append((name, words[-1])))
        made: Any = SimpleNamespace(app=lambda *words: did.append(words), config=dict)
        return promote(made, print, planned=planned, unproven=unproven), did

    return asked


def test_the_standby_that_has_more_follows_the_lost_one(cluster: Callable[..., Found]) -> None:
    """Which is stopped for good, and not waited for."""
    assert cluster(LOST, LESS, MORE) == ("postgres-3", [("stop", "postgres-1", "False"), ("postgres-3", "promote")])


def test_a_primary_that_answers_stays_unless_that_is_planned(cluster: Callable[..., Found]) -> None:
    """Then it is waited for: it has to send what it has."""
    with pytest.raises(Problem, match="PLANNED=yes"):
        cluster(LEADS, LESS, MORE)
    assert cluster(LEADS, LESS, MORE, planned=True)[1][0] == ("stop", "postgres-1", "True")


def test_one_standby_alone_proves_nothing(cluster: Callable[..., Found]) -> None:
    """It is promoted only by who accepts the loss, and clients learn of that; the silent one may not come back."""
    silent = State("postgres-3", "absent", 0)
    with pytest.raises(Problem, match="UNPROVEN=yes"):
        cluster(LOST, LESS, silent)
    name, did = cluster(LOST, LESS, silent, unproven=True)
    assert name == "postgres-2"
    assert did[-2:] == [("postgres-2", "promote", "unproven"), ("renew",)]
    assert ("stop", "postgres-3", "False") in did


def test_who_has_no_host_any_more_is_not_stopped(cluster: Callable[..., Found]) -> None:
    """On another host in the lost one's place it starts by itself."""
    silent = State("postgres-3", "absent", 0)
    did = cluster(LOST, LESS, silent, unproven=True, hosts="12")[1]
    assert [words[1] for words in did if words[0] == "stop"] == ["postgres-1"]


def test_with_both_standbys_nothing_is_given_up(cluster: Callable[..., Found]) -> None:
    """Nobody's session ends, though the loss was accepted."""
    assert ("renew",) not in cluster(LOST, LESS, MORE, unproven=True)[1]


def test_without_a_standby_nobody_is_promoted(cluster: Callable[..., Found]) -> None:
    """And nothing is stopped."""
    with pytest.raises(Problem, match="nobody to promote"):
        cluster(*NOBODY, runs="1")


def test_a_primary_that_is_the_only_one_left_leads_again(cluster: Callable[..., Found]) -> None:
    """By whoever knows that: another one may have gone on without it, which clients are told."""
    assert cluster(*NOBODY, unproven=True, runs="1") == ("postgres-1", [("postgres-1", "lead"), ("renew",)])


@pytest.mark.parametrize("runs", ["", "12"])
def test_of_several_none_is_the_only_one_left(cluster: Callable[..., Found], runs: str) -> None:
    """Nor is one whose host is lost."""
    with pytest.raises(Problem, match="nobody to promote"):
        cluster(*NOBODY, unproven=True, runs=runs)
