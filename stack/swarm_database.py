"""Who of the cluster's PostgreSQL servers is the primary: asking them, putting a standby in its place, making one anew.

A commit is on the primary and one of two standbys. So the standby that has received more has all that was acked, and it
alone is promoted; the former primary is stopped first, wherever its host is, and comes back only by being made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stack import engine, processes, swarm_job
from stack.contained_start import BARE
from stack.problem import Problem
from stack.swarm import STACK, Cluster, labelled
from stack.swarm_file import SERVERS
from stack.swarm_order import order

PEER = ("sh", "/etc/portcullis/peer.sh")
STOP_SECONDS = 90.0
LEADS_SECONDS = 120.0
ANEW_SECONDS = 600.0
"""A copy of the primary takes as long as its data is large; this is how long it is waited for."""


class State(NamedTuple):
    """What one server says of itself."""

    name: str
    role: str
    """`primary`, `standby`, or `absent` for one that does not answer."""
    far: int
    """How many bytes of the log it has."""


def states(cluster: Cluster) -> list[State]:
    """Each server's."""
    return [
        State(name, role, int(far))
        for name, role, far in map(str.split, _peer(cluster, SERVERS[0], "states").splitlines())
    ]


def promote(cluster: Cluster, say: Callable[[str], None], *, planned: bool, unproven: bool) -> str:
    """Put a standby in the primary's place; its name. `planned`: also when that one answers, which is stopped first.

    `unproven`: also where the other standby is silent, so that what was acked last may be lost; the store gets another
    epoch then, from which clients learn that. Where nobody else is left, this lets the former primary lead that was
    started again, and waits. Raises Problem.
    """
    found = states(cluster)
    leading = [one.name for one in found if one.role == "primary"]
    standbys = [one for one in found if one.role == "standby"]
    if leading and not planned:
        raise Problem(f"{leading[0]} is the primary, and answers. To change it all the same: PLANNED=yes")
    if not standbys:
        return _lead(cluster, say, unproven=unproven and not leading)
    if len(standbys) == 1 and not unproven:
        raise Problem(
            f"Only {standbys[0].name} answers, and what was acked last may be on the other standby alone: start that "
            "one, or give it up with UNPROVEN=yes."
        )
    # With both standbys' word there is proof, asked for or not.
    unproven = len(standbys) == 1
    for one in (one for one in found if one not in standbys):
        # Whose host was removed does not come back; where another host has its place, it copies the primary.
        if labelled(f"data.{one.name[-1]}"):
            say(f"stopping {one.name}")
            stop(one.name, wait=one.role == "primary")
    # The former primary has sent what it had by now.
    left = [one for one in states(cluster) if one.role == "standby"]
    if not left:
        raise Problem("No standby answers any more, and the former primary is stopped: docs/operate/lost-hosts.md")
    chosen = max(left, key=lambda one: one.far)
    _peer(cluster, chosen.name, "promote", *(["unproven"] if unproven else []))
    say(f"{chosen.name} is the primary")
    if unproven:
        _renew(cluster, say)
    return chosen.name


def _lead(cluster: Cluster, say: Callable[[str], None], *, unproven: bool) -> str:
    left = [name for name in SERVERS if _runs(name)]
    if len(left) != 1 or not unproven:
        raise Problem(
            "No standby answers, so there is nobody to promote. Where one server is left that was the primary, and "
            "the hosts of the others are gone for good: UNPROVEN=yes (docs/operate/lost-hosts.md)"
        )
    swarm_job.run(STACK, cluster.config(), left[0], f"{left[0]}-lead", [*PEER, "lead"])
    if not processes.until(lambda: _role(cluster, left[0]) == "primary", LEADS_SECONDS):
        raise Problem(f"{left[0]} does not lead after {LEADS_SECONDS:.0f} s: docker service logs {STACK}_{left[0]}")
    say(f"{left[0]} is the primary")
    _renew(cluster, say)
    return left[0]


def _renew(cluster: Cluster, say: Callable[[str], None]) -> None:
    cluster.app("renew")
    say("offsets have a new epoch, sessions are ended")


def rejoin(cluster: Cluster, name: str, say: Callable[[str], None]) -> None:
    """Delete a server's data, and make it anew as a standby. Raises Problem where that would lose something."""
    found = {one.name: one for one in states(cluster)}
    if name not in found:
        raise Problem(f"Which one? NAME is one of {', '.join(SERVERS)}, and is {name!r}.")
    if found[name].role == "primary":
        raise Problem(f"{name} is the primary: its data is the truth.")
    if not any(one.role == "primary" for one in found.values()):
        raise Problem("No primary answers, so there is nothing to make it anew from: promote a standby first.")
    say(f"stopping {name}")
    stop(name, wait=True)
    say("deleting its data")
    swarm_job.run(STACK, cluster.config(), name, f"{name}-forget", [*PEER, "forget"])
    say("copying the primary's")
    order("service", "scale", "--detach", f"{STACK}_{name}=1")
    if not processes.until(lambda: _role(cluster, name) == "standby", ANEW_SECONDS):
        raise Problem(f"{name} is no standby after {ANEW_SECONDS:.0f} s: docker service logs {STACK}_{name}")
    say(f"{name} is a standby")


def stop(name: str, *, wait: bool) -> None:
    """End a server, and `wait` for it where it answered; where not, Swarm ends it as soon as its host is back."""
    full = f"{STACK}_{name}"
    order("service", "scale", "--detach", f"{full}=0")

    def gone() -> bool:
        tasks = engine.attempt("service", "ps", "--format={{.CurrentState}}", full).stdout.splitlines()
        return not any(one.startswith("Running") for one in tasks)

    if wait and not processes.until(gone, STOP_SECONDS):
        raise Problem(f"{name} has not ended after {STOP_SECONDS:.0f} s: docker service ps {full}")


def _runs(name: str) -> bool:
    """Whether a host has it."""
    shown = order("service", "ps", "--filter=desired-state=running", "--format={{.CurrentState}}", f"{STACK}_{name}")
    return shown.startswith("Running")


def _role(cluster: Cluster, name: str) -> str:
    return next(one.role for one in states(cluster) if one.name == name)


def _peer(cluster: Cluster, name: str, *words: str) -> str:
    """A command of peer.sh, called here: with the certificate by which the servers know each other."""
    who = (f"--env=SELF={name}", f"--env=PEERS={' '.join(SERVERS)}")
    # Root without its privileges reads what is root's, and nothing else.
    mine = (
        "--user=0:0",
        f"--network={STACK}_backend",
        f"--volume={cluster.folder / 'stores'}:/run/stores:ro",
        "--tmpfs=/tmp",
    )
    return order("run", "--rm", *BARE, *mine, *who, cluster.names["postgres"], *PEER, *words)
