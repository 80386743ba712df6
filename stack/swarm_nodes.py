"""The hosts of the cluster: who is there, who takes part, and who leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from stack import processes, swarm_database
from stack.problem import Problem
from stack.swarm import STACK, Cluster
from stack.swarm_order import order

DRAIN_SECONDS = 300.0
DATA = "portcullis.data."
MANAGERS = (1, 3)
"""Two are worse than one: the loss of either leaves no majority."""


class Node(NamedTuple):
    """One host, as Swarm sees it."""

    id: str
    name: str
    address: str
    ready: bool
    active: bool
    rank: str
    """`leader`, `manager` or `worker`."""
    data: str
    """Which of the hosts with data it is; empty for none."""

    @property
    def state(self) -> str:
        """In words."""
        return " ".join(["ready" if self.ready else "lost", "active" if self.active else "drained", self.rank])


def nodes() -> list[Node]:
    """All of them. Raises Problem on a host that is no manager, or without a majority of them."""
    ids = order("node", "ls", "--quiet").split()
    return [_node(one) for one in json.loads(order("node", "inspect", *ids))]


def _node(one: dict[str, Any]) -> Node:
    manager = one.get("ManagerStatus")
    rank = "worker" if not manager else "leader" if manager.get("Leader") else "manager"
    data = [label.removeprefix(DATA) for label in one["Spec"].get("Labels") or {} if label.startswith(DATA)]
    # Of a manager the address is 0.0.0.0 where it joined by itself.
    address = manager["Addr"].rpartition(":")[0] if manager else one["Status"]["Addr"]
    ready, active = one["Status"]["State"] == "ready", one["Spec"]["Availability"] == "active"
    return Node(one["ID"], one["Description"]["Hostname"], address, ready, active, rank, "".join(data))


def find(text: str, *, lost: bool = False) -> Node:
    """By name, address or id; with `lost`, where a new host has the place of one that does not answer, the latter.
    Raises Problem.
    """
    found = nodes()
    chosen = [one for one in found if text in (one.name, one.address, one.id)]
    if lost and len(chosen) > 1:
        chosen = [one for one in chosen if not one.ready]
    if len(chosen) != 1:
        raise Problem(
            f"Which host? NAME is one of {', '.join(one.name for one in found)}, or its address, and is {text!r}."
        )
    return chosen[0]


def drain(cluster: Cluster, text: str, say: Callable[[str], None]) -> None:
    """Let nothing run on the host; its clients are told to come back, and find others. Raises Problem."""
    node = find(text)
    if node.data and _leads(cluster, node):
        raise Problem(f"{node.name} has the database's primary, and nobody could post: first, promote PLANNED=yes")
    order("node", "update", "--availability=drain", node.id)
    say(f"{node.name} gets nothing new, and what runs there ends")
    if node.ready and not processes.until(lambda: not _runs(node), DRAIN_SECONDS):
        raise Problem(f"Something still runs on {node.name} after {DRAIN_SECONDS:.0f} s: docker node ps {node.name}")
    say(f"nothing runs on {node.name}")


def rebalance(cluster: Cluster, say: Callable[[str], None]) -> None:
    """Let every host take part, and spread the apps over them, each new one before an old one ends. Raises Problem."""
    for node in nodes():
        if not node.active:
            order("node", "update", "--availability=active", node.id)
            say(f"{node.name} takes part again")
    before = {one.name: one for one in cluster.services()}
    order("service", "update", "--detach", "--force", f"{STACK}_app")
    cluster.settled(before)
    say("the apps are spread over their hosts")


def remove(cluster: Cluster, text: str, say: Callable[[str], None]) -> None:
    """Forget a host, a lost one or one that is drained first. Raises Problem where one that answers is needed."""
    node = find(text, lost=True)
    if node.ready:
        _spare(node, [one for one in nodes() if one.id != node.id])
        if node.active:
            drain(cluster, node.id, say)
    if node.rank != "worker":
        order("node", "demote", node.id)
    order("node", "rm", "--force", node.id)
    say(f"{node.name} is no part of the cluster any more")
    server = f"{STACK}_postgres-{node.data}"
    if node.data and not node.ready and any(one.name == server for one in cluster.services()):
        # A promotion may have stopped it. Its data is gone with the host, so where it starts it copies the primary's.
        order("service", "scale", "--detach", f"{server}=1")


def _spare(node: Node, others: list[Node]) -> None:
    managers = [one for one in others if one.rank != "worker" and one.ready]
    if node.rank != "worker" and len(managers) not in MANAGERS:
        raise Problem(f"Without {node.name} there are {len(managers)} managers: make another one first, by site.yml.")
    if node.data and not any(one.data == node.data for one in others):
        raise Problem(
            f"{node.name} has the data {node.data} of 3, and no other host is for it: give another one "
            f"swarm_data {node.data} and run site.yml first."
        )


def _runs(node: Node) -> bool:
    shown = order("node", "ps", "--filter=desired-state=running", "--format={{.CurrentState}}", node.id)
    ends = order("node", "ps", "--format={{.CurrentState}}", node.id)
    return bool(shown.strip()) or any(line.startswith("Running") for line in ends.splitlines())


def _leads(cluster: Cluster, node: Node) -> bool:
    name = f"postgres-{node.data}"
    return any(one.name == name and one.role == "primary" for one in swarm_database.states(cluster))
