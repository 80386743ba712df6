"""The stack on several hosts, for the make commands: called on a manager."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from stack import (
    certificate,
    compose,
    contained_machine,
    engine,
    lock,
    log_search,
    machine,
    swarm_backup,
    swarm_database,
    swarm_file,
    swarm_job,
    swarm_nodes,
)
from stack.contained_start import BARE
from stack.place import Place
from stack.problem import Problem
from stack.swarm import STACK, Cluster
from stack.swarm_order import order

LINES = "40"
CHALLENGES = "/var/lib/portcullis/acme/.well-known/acme-challenge"
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
ANSWER = re.compile(r"[A-Za-z0-9_-]{16,128}\.[A-Za-z0-9_-]{16,128}")
EDGE_FOLDER = "/var/lib/portcullis/logs"
DATABASE = "portcullis"
RENEWED_SECONDS = 30 * 86_400
LOGS_SECONDS = 60.0


class Clustered:
    """Implements stack.shape.Shape."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        self.place, self.settings = place, settings

    @cached_property
    def cluster(self) -> Cluster:
        """What the commands ask, once its managers agree on a leader. Raises Problem where they do not."""
        order("node", "ls", "--quiet")
        return Cluster(self.place, self.settings)

    def up(self) -> None:
        """Bring the cluster to what the clone and the settings say."""
        self.cluster.up()

    def rollout(self) -> None:
        """The same: Swarm starts each new app before the old one ends."""
        self.cluster.up()

    def down(self) -> bool:
        """Stop every service on every host; data, secrets and networks stay."""
        found = self.cluster.services()
        if found:
            with self.changing():
                self.cluster.record.unlink(missing_ok=True)
                order("stack", "rm", STACK)
        return bool(found)

    def status(self) -> bool:
        """A line for each host and each service, then what is wrong."""
        services = self.cluster.services()
        wrong = []
        for one in swarm_nodes.nodes():
            print(f"  host {one.name:<27} {one.state}")
            if not one.ready:
                wrong.append(f"{one.name} does not answer")
        for service in services:
            print(f"  {service.name:<32} {f'{service.running}/{service.wanted}':<8} {service.image}")
        wrong += [service.missing for service in services if service.missing]
        if not services:
            wrong.append("nothing runs: portcullis up")
        for line in wrong:
            print(f"  wrong        {line}")
        print(f"  CA           {certificate.trusted_by(self.place)}")
        print(f"  certificate  valid until {certificate.expiry(certificate.server(self.place))}")
        print("healthy" if not wrong else "not healthy; `portcullis doctor` says more")
        return not wrong

    def logs(self) -> None:
        """Follow what every service says, wherever it runs; ends with the terminal's interrupt."""
        words = ["docker", "service", "logs", "--follow", "--tail", LINES]
        names = [one.name for one in self.cluster.services()]
        following = [subprocess.Popen([*words, name], env=engine.environ(), stdin=subprocess.DEVNULL) for name in names]
        try:
            for one in following:
                one.wait()
        except KeyboardInterrupt:
            print()
        finally:
            for one in following:
                one.terminate()
                one.wait()

    def logged(self, request_id: str) -> list[str]:
        """What the edges have of a request, then the apps."""
        look = ["sh", "-c", f"grep -rhF {request_id} {EDGE_FOLDER} || true"]
        edges = swarm_job.run(STACK, self.cluster.config(), swarm_file.EDGE_FILES, "edge-search", look, lines="all")
        # Swarm has been seen to start a host's one task twice.
        return [*dict.fromkeys(edges.splitlines()), *log_search.with_id(_apps_said(), request_id)]

    def app(self, *words: str) -> str:
        """Run the app's command line in a container of its own, on this host."""
        return self.cluster.app(*words)

    def metrics(self) -> str:
        """Those of every app and every edge, each series with the address of whom it is from."""
        network, image = f"{STACK}_monitoring", self.cluster.names["counter"]
        return order("run", "--rm", "--network", network, *BARE, image, "python3", "-m", "stack.swarm_scrape") + "\n"

    def delete(self) -> None:
        """Raises Problem: what the hosts hold is theirs."""
        raise Problem(
            "Its data lies on its hosts. `portcullis down` stops it; then on each host: docker volume prune --all"
        )

    def backup(self, target: Path | None) -> str:
        """One more backup in the repository, a full one with FULL=yes; what it has then. Raises Problem."""
        if target:
            raise Problem("A cluster's backups are in its repository: leave TO away.")
        with self.changing():
            return swarm_backup.write(self.cluster, "full" if os.environ.get("FULL") == "yes" else "diff")

    def drill(self, source: Path | None, identity: Path | None) -> str:
        """Restore the newest backup beside the repository; what was in it. Raises Problem."""
        if source or identity:
            raise Problem("A cluster's backups are in its repository: leave FROM and IDENTITY away.")
        return swarm_backup.drill(self.cluster)

    def restore(self, source: Path, identity: Path | None) -> None:  # noqa: ARG002
        """Raises Problem: what is restored is in the repository."""
        raise Problem("A cluster's backups are in its repository: portcullis recover")

    def recover(self, moment: str, *, restored: bool) -> None:
        """A database of what the repository has, where every server has lost its own; or the rest of doing so."""
        swarm_backup.restore(self.cluster, moment, restored=restored)

    def rotate(self) -> None:
        """Make the stores' passwords and the signing key anew."""
        self.cluster.rotate()

    def psql(self) -> int:
        """As the superuser of the server on this host. Raises Problem where there is none."""
        mine = f"--filter=name={STACK}_postgres-[1-3]\\."
        found = engine.run("ps", "--quiet", mine).split()
        if not found:
            raise Problem("No PostgreSQL server runs on this host: log in to one of the hosts with data.")
        tty = ["--tty"] if sys.stdin.isatty() else []
        return engine.show(["docker", "exec", "--interactive", *tty, found[0], "psql", "--username=postgres", DATABASE])

    def doctor(self) -> bool:
        """A line for each thing that was looked at."""
        found = list(self.findings())
        for how, what, said in found:
            print(f"  {how:<6} {what:<20} {said}")
        return all(how != "wrong" for how, _, _ in found)

    def findings(self) -> Iterator[tuple[str, str, str]]:
        """How it is, what was looked at, and what was found."""
        yield _said("engine", engine.wanting())
        free = shutil.disk_usage(machine.existing(self.place.state)).free
        yield _said("disk", [contained_machine.disk(free)], f"{free >> 30} GiB free")
        servers = swarm_database.states(self.cluster)
        for node in swarm_nodes.nodes():
            yield _said(f"host {node.name}", [] if node.ready else ["does not answer"], node.state)
        primaries = sum(one.role == "primary" for one in servers)
        absent = [f"{one.name} does not answer" for one in servers if one.role == "absent"]
        wrong = absent + ([] if primaries == 1 else [f"there are {primaries} primaries"])
        yield _said("database", wrong, ", ".join(f"{one.name} {one.role}" for one in servers))
        yield self._valkey()
        services = self.cluster.services()
        missing = [one.missing for one in services if one.missing]
        yield _said("services", missing or ([] if services else ["none runs"]), f"{len(services)} have all their tasks")
        for folder, name in (("tls", "server"), ("inner", "app"), ("inner", "edge"), ("stores", "postgres")):
            yield _certificate(name, compose.folder(self.place) / folder / f"{name}.pem")

    def challenge(self, token: str, answer: str) -> None:
        """Have every edge answer an ACME server's challenge (RFC 8555 §8.3) from now on. Raises Problem."""
        if not (TOKEN.fullmatch(token) and ANSWER.fullmatch(answer)):
            raise Problem("certbot calls this, with CERTBOT_TOKEN and CERTBOT_VALIDATION.")
        put = f'mkdir -p {CHALLENGES} && cd {CHALLENGES} && rm -f -- * && printf %s "$1" >"$2"'
        words = ["sh", "-c", put, "sh", answer, token]
        swarm_job.run(STACK, self.cluster.config(), swarm_file.EDGE_FILES, "edge-challenge", words)

    def promote(self, *, planned: bool, unproven: bool) -> None:
        """Put a standby of the database in its primary's place."""
        with self.changing():
            swarm_database.promote(self.cluster, self.cluster.steps.say, planned=planned, unproven=unproven)

    def rejoin(self, name: str) -> None:
        """Make a server of the database anew."""
        with self.changing():
            swarm_database.rejoin(self.cluster, name, self.cluster.steps.say)

    def drain(self, host: str) -> None:
        """Let nothing run on a host."""
        with self.changing():
            swarm_nodes.drain(self.cluster, host, self.cluster.steps.say)

    def rebalance(self) -> None:
        """Let every host take part, and spread the apps over theirs."""
        with self.changing():
            swarm_nodes.rebalance(self.cluster, self.cluster.steps.say)

    def remove(self, host: str) -> None:
        """Forget a host."""
        with self.changing():
            swarm_nodes.remove(self.cluster, host, self.cluster.steps.say)

    def changing(self) -> AbstractContextManager[bool]:
        """One change at a time."""
        return lock.exclusive(self.place, self.cluster.steps.say)

    def _valkey(self) -> tuple[str, str, str]:
        names = " ".join(f"sentinel-{number}" for number in swarm_file.DATA_HOSTS)
        words = [
            f"--network={STACK}_backend",
            f"--volume={compose.folder(self.place) / 'stores' / 'ca.pem'}:/run/stores/ca.pem:ro",
        ]
        ask = ["sh", "/etc/portcullis/peer.sh", "primary"]
        image = self.cluster.names["valkey"]
        done = engine.attempt("run", "--rm", *BARE, "--user=0:0", *words, f"--env=SENTINELS={names}", image, *ask)
        wrong = [] if done.returncode == 0 else [done.stderr.strip()]
        return _said("Valkey", wrong, f"{done.stdout.strip()} is the primary")

    def sbom(self) -> list[Path]:
        """Raises Problem: images of a cluster come from the controller."""
        raise Problem("The images of a cluster are built where it is deployed from: make sbom there.")

    def fixes(self) -> bool:
        """Raises Problem: images of a cluster come from the controller."""
        raise Problem("The images of a cluster are built where it is deployed from: make fixes there, then deploy.yml.")

    def holdings(self) -> str:
        """What lies on its hosts."""
        return "nothing: the data of a cluster lies on its hosts"


def _apps_said() -> list[str]:
    """All lines of all apps; on standard error, that some are missing. The engine waits without an end for a task that
    never had a container.
    """
    try:
        done = engine.attempt("service", "logs", "--raw", f"{STACK}_app", seconds=LOGS_SECONDS)
    except subprocess.TimeoutExpired as late:
        print(f"The engine had not given all lines after {LOGS_SECONDS:.0f} s: some are missing.", file=sys.stderr)
        return bytes(late.stdout or b"").decode(errors="replace").splitlines()
    return (done.stdout + done.stderr).splitlines()


def _said(what: str, wrong: list[str | None] | list[str], right: str = "") -> tuple[str, str, str]:
    sentences = [one for one in wrong if one]
    return ("wrong" if sentences else "ok", what, "; ".join(sentences) or right)


def _certificate(name: str, pem: Path) -> tuple[str, str, str]:
    ends = f"valid until {certificate.expiry(pem)}"
    if certificate.lasts(pem, RENEWED_SECONDS):
        return ("ok", f"certificate {name}", ends)
    return ("warn" if certificate.lasts(pem, 0) else "wrong", f"certificate {name}", f"{ends}: portcullis up renews it")
