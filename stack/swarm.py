"""How a cluster comes to what is wanted, from a manager's side.

The manager's state folder has the settings, the secrets and the certificates of all. Whatever has to be on another host
goes there by Swarm itself: as a secret, or by a job that runs there.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stack import (
    app_command,
    certificate,
    compose,
    contained_secrets,
    contained_settings,
    contained_start,
    contained_watch,
    engine,
    facts,
    images,
    knobs,
    lock,
    processes,
    shape,
    swarm_file,
    swarm_job,
    swarm_stages,
)
from stack.place import CLONE, Place
from stack.problem import Problem
from stack.steps import Steps
from stack.swarm_order import order

STACK = "portcullis"
NETWORKS = {
    **dict.fromkeys(("front", "backend", "monitoring", "outside_closed", "alerting_closed"), True),
    **dict.fromkeys(("outside_open", "alerting_open"), False),
}
"""Each, and whether nothing leads out of it. The settings say which of two the stack is on, as on one host."""
INNER = ("inner", "stores")
"""The folders with certificates by which hosts know each other."""
DEPLOY_SECONDS = 300.0
PRIMARY_SECONDS = 120.0
PAUSE = 1.0
OVERLAY = CLONE / "docker-compose.cluster.yml"
SERVICES = "{{.Name}} {{.Replicas}} {{.Image}}"
UPDATES = "{{.Spec.Name}} {{if .UpdateStatus}}{{.UpdateStatus.State}} {{.UpdateStatus.StartedAt.UnixNano}}{{end}}"
LAST_HOUR = 23
BUSY = ("updating", "paused", "rollback_started", "rollback_paused")
TAKEN_BACK = ("rollback_started", "rollback_paused", "rollback_completed", "paused")


class Service(NamedTuple):
    """One service of the stack, as Swarm has it."""

    name: str
    running: int
    wanted: int
    image: str
    update: str = ""
    """What becomes of its last update, in Swarm's word."""
    began: str = ""
    """When that began, which tells one update from another."""

    @property
    def missing(self) -> str:
        """What it lacks, in words; empty where it has all its tasks and no update goes on."""
        if self.running == self.wanted and self.update not in BUSY:
            return ""
        return f"{self.name} has {self.running} of {self.wanted} tasks {self.update}".rstrip()


class Cluster:
    """One cluster, seen from a manager."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        self.place, self.settings = place, settings
        self.folder = compose.folder(place)
        self.names = images.names(place.clone, cluster=True)
        self.steps = Steps()
        self.start = contained_start.ContainedStart(place, settings)
        """What is done as on one host: certificates, files of settings, the first password."""
        self.start.images = self.names
        self.record = self.folder / "cluster.json"
        """What was wanted last, once all of it was well."""
        self.handed = self.folder / "stack.json"
        """What Swarm was told last."""

    def up(self) -> None:
        """Bring the cluster to what the clone and the settings say."""
        with lock.exclusive(self.place, self.steps.say):
            shape.mark(self.place, shape.CLUSTER)
            with self.steps.step("make networks"):
                self.networks()
            with self.steps.step("make certificates, passwords and keys") as notes:
                notes.extend(self.prepare())
            config = self.config()
            # A host that has just become an edge has no configuration yet, or an old one.
            text = json.dumps({"edges": sorted(labelled("edge")), **config}, indent=1)
            before = {one.name: one for one in self.services()}
            whole = before and not any(one.missing for one in before.values())
            if whole and self.record.exists() and self.record.read_text() == text:
                print(f"Already up: nothing was changed ({self.steps.seconds:.1f} s).")
                return
            if stopped := [name for name in swarm_file.SERVERS if self.stopped(before.get(f"{STACK}_{name}"))]:
                raise Problem(
                    f"{stopped[0]} is stopped since a promotion. Make it anew first: rejoin NAME={stopped[0]}"
                )
            self.record.unlink(missing_ok=True)
            self.wake(before.values())
            self.first(config)
            with self.steps.step("write the edges' configuration"):
                self.edges(config)
            for one in swarm_stages.stages(self.known() if before else None, config):
                # After the stores, which may have other passwords now, and before the apps.
                if before and one is config:
                    with self.steps.step("migrate the store"):
                        self.migrate()
                with self.steps.step("hand the stack to Swarm"):
                    self.deploy(one, prune=one is config)
                if not before:
                    with self.steps.step("migrate the store"):
                        self.migrate()
                with self.steps.step("wait until every service is well"):
                    self.settled(before)
            self.tidy(config)
            self.record.write_text(text)
        print(f"Up after {self.steps.seconds:.1f} s.")

    @staticmethod
    def wake(services: Iterable[Service]) -> None:
        """Have Swarm look anew for hosts of what runs nowhere: a task was seen to stay pending with its host there."""
        for one in services:
            if one.wanted and not one.running and one.update not in BUSY:
                order("service", "update", "--detach", "--force", one.name)

    @staticmethod
    def stopped(service: Service | None) -> bool:
        """Whether it is there, and nobody wants it to run."""
        return service is not None and not service.wanted

    def rotate(self) -> None:
        """New passwords for the stores and a new signing key, then all that has the old ones anew, in `up`'s order."""
        with lock.exclusive(self.place, self.steps.say), self.steps.step("make new passwords and a new signing key"):
            if any(one.missing for one in self.services()):
                raise Problem("Not everything is well: see `portcullis doctor`. Nothing was made anew.")
            contained_secrets.renew(self.place, self.names["app"], contained_secrets.cluster_content())
            self.app("keys", "rotate")
        self.up()

    def networks(self) -> None:
        """Those that stack and one-shots share."""
        there = order("network", "ls", "--format", "{{.Name}}").split()
        for name, internal in NETWORKS.items():
            if f"{STACK}_{name}" not in there:
                words = ["--driver=overlay", "--attachable", *(["--internal"] if internal else [])]
                order("network", "create", *words, f"{STACK}_{name}")

    def prepare(self) -> list[str]:
        """Certificates, passwords, keys and settings: what is there stays. Words about it."""
        app = self.names["app"]
        for folder in (self.folder, self.folder / "keys"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        contained_secrets.own(self.place, app, {"keys": contained_secrets.APP})
        said = self.start.certify()
        certificate.state_expiry(self.place)
        contained_secrets.show(self.place, app)
        said += contained_secrets.make(self.place, app, contained_secrets.cluster_content())
        self._inner_certificates(app)
        contained_watch.write(self.place, app, self.names["alertmanager"])
        wanted = contained_settings.for_compose(self.place, self.settings, self.names)
        self.start.write("compose.env", wanted | self._own())
        self.start.write("app.env", contained_settings.for_app(self.place, self.settings))
        self._one_shot("check", "keys init")
        return said

    def _inner_certificates(self, image: str) -> None:
        me = f"--user={os.geteuid()}:{os.getegid()}"
        words = [
            "run",
            "--rm",
            "--network=none",
            *contained_start.BARE,
            me,
            "--volume",
            f"{self.folder}:/folder",
            image,
        ]
        for kind in INNER:
            engine.run(*words, "python", "-m", "certs", "--folder", f"/folder/{kind}", f"--{kind}")
        # The migration is run here, and its user has to be able to read this one.
        key = (self.folder / "stores" / "portcullis_owner.key").read_bytes()
        contained_secrets.write(self.folder / "secrets" / "owner_key", key)
        contained_secrets.own(self.place, image, {"secrets/owner_key": contained_secrets.APP})

    def _own(self) -> dict[str, str]:
        """What only the cluster's file asks for."""
        apps = labelled("app")
        if not apps:
            raise Problem("No host is for the app: give at least one the label portcullis.app=yes.")
        data = {node for number in swarm_file.DATA_HOSTS for node in labelled(f"data.{number}")}
        if wrong := misplaced(labelled("backup"), data, order("node", "ls", "--quiet").split()):
            raise Problem(wrong)
        hour = self.settings.get("PORTCULLIS_BACKUP_HOUR") or knobs.DEFAULTS["PORTCULLIS_BACKUP_HOUR"]
        if not hour.isdecimal() or int(hour) > LAST_HOUR:
            raise Problem(f"PORTCULLIS_BACKUP_HOUR must be from 0 to {LAST_HOUR}, and is {hour!r}.")
        inner = [path for kind in INNER for path in (self.folder / kind).glob("*.pem")]
        ends = {"CERTIFICATE": [certificate.server(self.place)], "INNER_CERTIFICATE": inner}
        earliest = {
            name: min(facts.seconds(certificate.expiry(path)) for path in paths) for name, paths in ends.items()
        }
        return {
            "PORTCULLIS_APPS": str(len(apps)),
            "PORTCULLIS_BACKUP_HOUR": hour,
            **{f"PORTCULLIS_{name}_EXPIRY": f"{end:.0f}" for name, end in earliest.items()},
        }

    def composed(self) -> swarm_file.Config:
        """What compose makes of both files."""
        done = self._compose("config", "--format", "json")
        if done.returncode:
            raise Problem(done.stderr.strip())
        found: swarm_file.Config = json.loads(done.stdout)
        return found

    def config(self) -> swarm_file.Config:
        """The stack's file, and the job of its edges."""
        keys = self.folder / "keys" / "signing"
        return swarm_file.derive(self.composed(), {one.name: one for one in sorted(keys.glob("*.pem"))})

    def first(self, config: swarm_file.Config) -> None:
        """The data of the very first primary. Never again: where there was any, a new one would be a second truth."""
        made = self.folder / "first-database"
        if not made.exists():
            with self.steps.step("make the first database"):
                self.job(config, "postgres-1", "first", "sh", "/etc/portcullis/peer.sh", "first")
            made.touch()

    def edges(self, config: swarm_file.Config) -> None:
        """Configuration and certificate, on each edge's host; who runs already reads them when told to."""
        self.job(config, swarm_file.EDGE_FILES, "edge-files")

    def job(
        self, config: swarm_file.Config, service: str, name: str, *command: str, seconds: float = swarm_job.SECONDS
    ) -> str:
        """What a task of its own said on a service's host, in its words or others. Raises Problem."""
        return swarm_job.run(STACK, config, service, name, command, seconds)

    def app(self, *words: str) -> str:
        """A command of the app; what it printed."""
        done = self._compose("run", "--rm", "--no-TTY", "migrate", "python", "-m", "app", *words)
        if done.returncode:
            raise Problem((done.stderr or done.stdout).strip())
        return done.stdout.strip()

    def migrate(self) -> None:
        """The store's schema and the first administrator, as soon as a primary answers."""
        self.start.password = processes.patiently(partial(self._one_shot, "migrate", "bootstrap"), PRIMARY_SECONDS)
        self.start.show_password()

    def _one_shot(self, *commands: str) -> str:
        run = ["run", "--rm", "--no-TTY", "migrate", "python", "-c", app_command.SEVERAL]
        try:
            done = self._compose(*run, *commands, seconds=contained_start.UP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Problem(
                f"{', '.join(commands)}: not done after {contained_start.UP_SECONDS:.0f} s. Changes wait for a second "
                "server of the database: portcullis doctor says which there are."
            ) from None
        if done.returncode:
            raise Problem("\n".join((done.stderr or done.stdout).strip().splitlines()[-3:]))
        return done.stdout.strip()

    def _compose(self, *words: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
        files: list[str | Path] = ["--file", self.place.clone / "docker-compose.yml", "--file", OVERLAY]
        common: list[str | Path] = ["compose", "--progress", "quiet", "--project-name", STACK, *files]
        return engine.attempt(*common, "--env-file", self.folder / "compose.env", *words, seconds=seconds)

    def deploy(self, config: swarm_file.Config, *, prune: bool) -> None:
        """Say to Swarm what is wanted; with `prune` it ends what is not."""
        services = {name: one for name, one in config["services"].items() if name != swarm_file.EDGE_FILES}
        self.handed.write_text(json.dumps({**config, "services": services}, indent=1))
        words = ["--prune"] if prune else []
        order("stack", "deploy", *words, "--resolve-image=never", f"--compose-file={self.handed}", STACK)

    def known(self) -> swarm_file.Config | None:
        """What was handed over last."""
        found: swarm_file.Config | None = json.loads(self.handed.read_text()) if self.handed.exists() else None
        return found

    def tidy(self, config: swarm_file.Config) -> None:
        """Take away secrets that no service has any more; Swarm keeps those that one has."""
        kept = {one["name"] for one in config["secrets"].values()}
        listed = order("secret", "ls", f"--filter=name={STACK}_", "--format={{.Name}}").split()
        for name in listed:
            if name not in kept:
                engine.attempt("secret", "rm", name)

    def services(self) -> list[Service]:
        """What Swarm has of the stack."""
        mine = f"--filter=label=com.docker.stack.namespace={STACK}"
        found = []
        for line in order("service", "ls", mine, f"--format={SERVICES}").splitlines():
            name, tasks, *rest = line.split()
            running, _, wanted = tasks.partition("/")
            found.append(Service(name, int(running), int(wanted), rest[-1]))
        if not found:
            return []
        said = order("service", "inspect", f"--format={UPDATES}", *(one.name for one in found))
        updates = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
        resting = _resting()
        return [
            one._replace(
                wanted=max(one.wanted, one.running + resting[one.name]),
                update=(*updates[one.name], "")[0],
                began=(*updates[one.name], "", "")[1],
            )
            for one in found
        ]

    def settled(self, before: Mapping[str, Service]) -> None:
        """Wait until every service has all its tasks and no update goes on.

        Raises Problem with what is missing, and as soon as Swarm takes back one that was not so `before`.
        """
        ends, said = time.monotonic() + DEPLOY_SECONDS, ""
        while True:
            services = self.services()
            for one in services:
                if one.update in TAKEN_BACK and (one.name not in before or before[one.name].began != one.began):
                    raise Problem(
                        f"{one.name} did not get well and was taken back ({one.update}).{self.last_words(one.name)}"
                    )
            missing = [one.missing for one in services if one.missing]
            if not missing:
                return
            if time.monotonic() > ends:
                raise Problem("Not well in time:\n" + "\n".join(f"  {line}" for line in missing))
            if (now := ", ".join(line.partition(" ")[0] for line in missing)) != said:
                self.steps.say(f"waiting for {now}")
                said = now
            time.sleep(PAUSE)

    def last_words(self, service: str) -> str:
        """Why its newest tasks ended, as far as Swarm says."""
        done = engine.attempt(
            "service", "ps", "--no-trunc", "--format={{.Name}} on {{.Node}}: {{.CurrentState}} {{.Error}}", service
        )
        wrong = [line for line in done.stdout.splitlines() if "Failed" in line or "Rejected" in line]
        return "".join(f"\n  {line}" for line in wrong[:3])


def _resting() -> Counter[str]:
    """How many tasks of each service have failed and wait to be tried again: Swarm wants none on such a host then."""
    done = engine.attempt("stack", "ps", "--filter=desired-state=ready", "--format={{.Name}}", STACK)
    return Counter(line.partition(".")[0] for line in done.stdout.splitlines())


def misplaced(backup: Sequence[str], data: Collection[str], hosts: Sequence[str]) -> str:
    """Why the backups may not be where the labels have them, or nothing: they would be lost with data beside them."""
    if len(backup) != 1:
        return "One host is for the backups: give one without data, and no other, the label portcullis.backup=yes."
    # A cluster of one host is there to be tried.
    if backup[0] in data and len(hosts) > 1:
        return "The host for the backups has data, too: give the label portcullis.backup=yes to one without."
    return ""


def labelled(label: str) -> list[str]:
    """The hosts that are for something."""
    return order("node", "ls", "--quiet", f"--filter=node.label=portcullis.{label}=yes").split()
