"""stack/swarm_nodes.py: which host is meant, and which may not go."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from stack import swarm_nodes
from stack.problem import Problem
from stack.swarm import Service
from stack.swarm_nodes import Node

MANAGER: dict[str, Any] = {
    "ID": "abc",
    "Spec": {"Availability": "active", "Labels": {"portcullis.data.2": "yes", "portcullis.app": "yes"}},
    "Description": {"Hostname": "four"},
    "Status": {"State": "ready", "Addr": "0.0.0.0"},
    "ManagerStatus": {"Leader": True, "Addr": "192.0.2.14:2377"},
}
WORKER: dict[str, Any] = {
    "ID": "def",
    "Spec": {"Availability": "drain"},
    "Description": {"Hostname": "one"},
    "Status": {"State": "down", "Addr": "192.0.2.11"},
}


def _hosts(*ranks: str, data: str = "") -> list[Node]:
    """One host of each rank, the first with data."""
    return [
        Node(f"id{number}", f"host{number}", f"192.0.2.{number}", True, True, rank, "" if number else data)
        for number, rank in enumerate(ranks)
    ]


def test_a_host_is_what_swarm_says_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager's own address is where the others reach it; one that does not answer has its last."""
    said = json.dumps([MANAGER, WORKER])
    monkeypatch.setattr(swarm_nodes, "order", lambda *words: "abc def" if "ls" in words else said)
    one, two = swarm_nodes.nodes()
    assert one == Node("abc", "four", "192.0.2.14", True, True, "leader", "2")
    assert two == Node("def", "one", "192.0.2.11", False, False, "worker", "")
    assert (one.state, two.state) == ("ready active leader", "lost drained worker")


def test_a_host_is_found_by_name_address_or_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another word is answered with those that there are."""
    hosts = _hosts("manager", "worker")
    monkeypatch.setattr(swarm_nodes, "nodes", lambda: hosts)
    assert [swarm_nodes.find(text) for text in ("host1", "192.0.2.1", "id1")] == [hosts[1]] * 3
    with pytest.raises(Problem, match="host0, host1"):
        swarm_nodes.find("three")


def test_a_lost_host_is_forgotten_however_it_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a new one has its name and address, the lost one is meant. Its server may start elsewhere."""
    new, *others = _hosts("manager", "leader", "manager", data="3")
    lost = new._replace(id="lost", ready=False)
    said: list[tuple[str, ...]] = []
    cluster = SimpleNamespace(services=lambda: [Service("portcullis_postgres-3", 0, 0, "")])
    monkeypatch.setattr(swarm_nodes, "order", lambda *words: said.append(words))
    for there in ([lost, *others], [new, lost, *others]):
        monkeypatch.setattr(swarm_nodes, "nodes", lambda there=there: there)
        said.clear()
        swarm_nodes.remove(cluster, "host0", print)  # type: ignore[arg-type]
        starts = ("service", "scale", "--detach", "portcullis_postgres-3=1")
        assert said == [("node", "demote", "lost"), ("node", "rm", "--force", "lost"), starts]


@pytest.mark.parametrize(
    ("ranks", "data", "why"),
    [
        (("leader", "manager", "manager"), "", "there are 2 managers"),
        (("leader",), "", "there are 0 managers"),
        (("worker", "leader"), "3", "no other host is for it"),
    ],
)
def test_a_host_that_is_needed_is_not_removed(
    monkeypatch: pytest.MonkeyPatch, ranks: tuple[str, ...], data: str, why: str
) -> None:
    """One of three managers, the only one, or the only one with some of the data."""
    monkeypatch.setattr(swarm_nodes, "nodes", lambda: _hosts(*ranks, data=data))
    with pytest.raises(Problem, match=why):
        swarm_nodes.remove(None, "host0", print)  # type: ignore[arg-type]
