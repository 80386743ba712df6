"""The cluster, from a manager's side: `python3 -m stack.swarm up|status|reload|app …|down`.

Called on the first manager, whose state folder has the settings, the secrets and the certificates of
all. Whatever has to be on another host goes there by Swarm itself: as a secret, or by a job that runs there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stack import (
    app_command,
    certificate,
    compose,
    contained_secrets,
    contained_settings,
    contained_start,
    contained_watch,
    engine,
    images,
    lock,
    processes,
    settings_file,
    swarm_file,
    swarm_job,
)
from stack import place as places
from stack.place import CLONE, Place
from stack.problem import Problem
from stack.steps import Steps

STACK = "portcullis"
NETWORKS = {
    **dict.fromkeys(("front", "backend", "monitoring", "outside_closed", "alerting_closed"), True),
    **dict.fromkeys(("outside_open", "alerting_open"), False),
}
"""Each, and whether nothing leads out of it. The settings say which of two the stack is on, as on one host."""
DEPLOY_SECONDS = 300.0
PRIMARY_SECONDS = 120.0
PAUSE = 1.0
OVERLAY = CLONE / "docker-compose.cluster.yml"


class Cluster:
    """One cluster, seen from its first manager."""

    def __init__(self, place: Place, settings: Mapping[str, str]) -> None:
        self.place, self.settings = place, settings
        self.folder = compose.folder(place)
        self.names = images.names(place.clone, cluster=True)
        self.steps = Steps()
        self.start = contained_start.ContainedStart(place, settings)
        """What is done as on one host: certificates, files of settings, the first password."""
        self.start.images = self.names
        self.record = self.folder / "cluster.json"
        """What Swarm was told last, once all of it was well."""

    def up(self) -> None:
        """Bring the cluster to what the clone and the settings say."""
        with lock.exclusive(self.place, self.steps.say):
            with self.steps.step("make networks"):
                self.networks()
            with self.steps.step("make certificates, passwords and keys") as notes:
                notes.extend(self.prepare())
            config = self.config()
            text = json.dumps(config, indent=1)
            if self.record.exists() and self.record.read_text() == text and self.services() and not self.missing():
                print(f"Already up: nothing was changed ({self.steps.seconds:.1f} s).")
                return
            self.record.unlink(missing_ok=True)
            with self.steps.step("make the first database"):
                self.first(config)
            with self.steps.step("write the edges' configuration"):
                self.edges(config)
            known = self.services()
            if known:
                with self.steps.step("migrate the store"):
                    self.migrate()
            with self.steps.step("hand the stack to Swarm"):
                self.deploy(config)
            if not known:
                with self.steps.step("migrate the store"):
                    self.migrate()
            self.reload()
            with self.steps.step("wait until every service is well"):
                self.settled()
            self.record.write_text(text)
        print(f"Up after {self.steps.seconds:.1f} s.")

    def networks(self) -> None:
        """Those that stack and one-shots share."""
        there = engine.run("network", "ls", "--format", "{{.Name}}").split()
        for name, internal in NETWORKS.items():
            if f"{STACK}_{name}" not in there:
                words = ["--driver=overlay", "--attachable", *(["--internal"] if internal else [])]
                engine.run("network", "create", *words, f"{STACK}_{name}")

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
        for kind in ("inner", "stores"):
            engine.run(*words, "python", "-m", "certs", "--folder", f"/folder/{kind}", f"--{kind}")
        # The migration is run here, and its user has to be able to read this one.
        key = (self.folder / "stores" / "portcullis_owner.key").read_bytes()
        contained_secrets.write(self.folder / "secrets" / "owner_key", key)
        contained_secrets.own(self.place, image, {"secrets/owner_key": contained_secrets.APP})

    def _own(self) -> dict[str, str]:
        """What only the cluster's file asks for."""
        apps = engine.run("node", "ls", "--quiet", "--filter=node.label=portcullis.app=yes").split()
        if not apps:
            raise Problem("No host is for the app: give at least one the label portcullis.app=yes.")
        return {"PORTCULLIS_APPS": str(len(apps))}

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
        """The data of the first primary, where there is none yet."""
        swarm_job.run(STACK, config, "postgres-1", "first", ["sh", "/etc/portcullis/peer.sh", "first"])

    def edges(self, config: swarm_file.Config) -> None:
        """Configuration and certificate, on each edge's host; who runs already reads them when told to."""
        swarm_job.run(STACK, config, swarm_file.EDGE_FILES, "edge-files")

    def app(self, *words: str) -> str:
        """A command of the app; what it printed."""
        done = self._compose("run", "--rm", "--no-TTY", "migrate", "python", "-m", "app", *words)
        if done.returncode:
            raise Problem((done.stderr or done.stdout).strip())
        return done.stdout.strip()

    def migrate(self) -> None:
        """The store's schema and the first administrator, as soon as a primary answers."""
        problem = ""

        def done() -> bool:
            nonlocal problem
            try:
                self.start.password = self._one_shot("migrate", "bootstrap")
            except Problem as why:
                problem = str(why)
                return False
            self.start.show_password()
            return True

        if not processes.until(done, PRIMARY_SECONDS):
            raise Problem(problem)

    def _one_shot(self, *commands: str) -> str:
        run = ["run", "--rm", "--no-TTY", "migrate", "python", "-c", app_command.SEVERAL]
        done = self._compose(*run, *commands, seconds=contained_start.UP_SECONDS)
        if done.returncode:
            raise Problem("\n".join((done.stderr or done.stdout).strip().splitlines()[-3:]))
        return done.stdout.strip()

    def _compose(self, *words: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
        files: list[str | Path] = ["--file", self.place.clone / "docker-compose.yml", "--file", OVERLAY]
        common: list[str | Path] = ["compose", "--progress", "quiet", "--project-name", STACK, *files]
        return engine.attempt(*common, "--env-file", self.folder / "compose.env", *words, seconds=seconds)

    def deploy(self, config: swarm_file.Config) -> None:
        """Say to Swarm what is wanted."""
        target = self.folder / "stack.json"
        wanted = {**config, "services": {k: v for k, v in config["services"].items() if k != swarm_file.EDGE_FILES}}
        target.write_text(json.dumps(wanted, indent=1))
        engine.run("stack", "deploy", "--prune", "--resolve-image=never", f"--compose-file={target}", STACK)

    def reload(self) -> None:
        """Let this host's edge, if it has one, read its configuration and its certificate anew; nobody is cut off."""
        found = engine.run("ps", "--quiet", f"--filter=label=com.docker.swarm.service.name={STACK}_edge").split()
        for one in found:
            engine.run("kill", "--signal=HUP", one)

    def services(self) -> list[dict[str, Any]]:
        """What Swarm has of the stack."""
        lines = engine.run("service", "ls", f"--filter=label=com.docker.stack.namespace={STACK}", "--format={{json .}}")
        return [json.loads(line) for line in lines.splitlines()]

    def settled(self) -> None:
        """Wait until every service has all its tasks and no update goes on. Raises Problem with what is missing."""
        ends, said = time.monotonic() + DEPLOY_SECONDS, ""
        while missing := self.missing():
            if time.monotonic() > ends:
                raise Problem("Not well in time:\n" + "\n".join(f"  {line}" for line in missing))
            if (now := ", ".join(line.partition(" ")[0] for line in missing)) != said:
                self.steps.say(f"waiting for {now}")
                said = now
            time.sleep(PAUSE)

    def missing(self) -> list[str]:
        """What each service lacks, in words. Raises Problem for an update that was taken back or stopped."""
        found = []
        for service in self.services():
            state = _update(service["ID"])
            if state.startswith(("rollback", "paused")):
                raise Problem(f"{service['Name']} did not get well and was taken back ({state}).")
            running, _, wanted = service["Replicas"].partition(" ")[0].partition("/")
            if running != wanted or state == "updating":
                found.append(f"{service['Name']} has {running} of {wanted} tasks {state}".rstrip())
        return found

    def status(self) -> None:
        """A line for each service. Raises Problem with what is missing."""
        for service in self.services():
            print(f"  {service['Name']:<32} {service['Replicas']:<8} {service['Image']}")
        if missing := self.missing():
            raise Problem("\n".join(missing))
        print("healthy")

    def down(self) -> None:
        """Stop every service; data, secrets and networks stay."""
        engine.run("stack", "rm", STACK)


def _update(service: str) -> str:
    return engine.run("service", "inspect", "--format={{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}", service)


def cluster() -> Cluster:
    """The one of this host's state folder."""
    state = places.choose(os.environ).state
    settings = settings_file.read(state / "settings.env", os.environ)
    return Cluster(places.choose(settings | {"PORTCULLIS_STATE": str(state)}), settings)


def main() -> int:
    """Run one command. A Problem is its sentence."""
    commands: dict[str, Callable[[Cluster], object]] = {
        "up": Cluster.up,
        "status": Cluster.status,
        "down": Cluster.down,
        "reload": Cluster.reload,
        "app": lambda one: print(one.app(*sys.argv[2:])),
    }
    try:
        commands[sys.argv[1]](cluster())
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
