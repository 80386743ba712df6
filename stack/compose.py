"""Asking the engine about the containers of one stack."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack import engine
from stack.place import Place
from stack.problem import Problem

LASTING = (
    "postgres",
    "valkey",
    "app",
    "edge",
    "counter",
    "prometheus",
    "alertmanager",
    "valkey-exporter",
    "postgres-exporter",
    "node-exporter",
)
GRAFANA = "grafana"
"""Lasts as well, where an image of it is named: its profile."""
PROJECT = "com.docker.compose.project"


@dataclass(frozen=True)
class State:
    """One container of a service that lasts."""

    service: str
    id: str
    status: str
    health: str
    image: str

    @property
    def well(self) -> bool:
        """Whether it runs and its own check says so."""
        return self.status == "running" and self.health == "healthy"


def folder(place: Place) -> Path:
    """What the containers are made from: settings, secrets, the certificate that is shown."""
    return place.state / "containers"


def project(place: Place) -> str:
    """The name of this stack's project: another state folder is another stack."""
    return "portcullis-" + hashlib.sha256(str(place.state).encode()).hexdigest()[:8]


def words(place: Place, *more: str | Path) -> list[str | Path]:
    """The words of `docker compose …` for this stack."""
    files: list[str | Path] = [
        "--file",
        place.clone / "docker-compose.yml",
        "--env-file",
        folder(place) / "compose.env",
    ]
    return ["compose", "--progress", "quiet", "--project-name", project(place), *files, *more]


def run(place: Place, *more: str | Path, given: str = "", seconds: float | None = None) -> str:
    """Run `docker compose …`; raises Problem with its last words."""
    done = attempt(place, *more, given=given, seconds=seconds)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Problem("\n".join(said[-4:]) or f"`docker compose {more[0]}` ended with {done.returncode}.")
    return done.stdout.rstrip("\n")


def attempt(
    place: Place, *more: str | Path, given: str = "", seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `docker compose …`, whatever comes of it."""
    return engine.attempt(*words(place, *more), given=given, seconds=seconds)


def states(place: Place) -> dict[str, State]:
    """The lasting containers that the engine has of this stack, by service."""
    label = f"label={PROJECT}={project(place)}"
    ids = engine.attempt("ps", "--all", "--quiet", "--no-trunc", "--filter", label).stdout.split()
    found: dict[str, State] = {}
    for one in engine.inspect(*ids):
        labels, state = one["Config"]["Labels"], one["State"]
        service = labels["com.docker.compose.service"]
        if service in (*LASTING, GRAFANA) and labels.get("com.docker.compose.oneoff") != "True":
            health = state.get("Health", {}).get("Status", "none")
            # While one takes over from another there are two of the app: either serves.
            if service not in found or not found[service].well:
                found[service] = State(service, one["Id"], state["Status"], health, one["Config"]["Image"])
    return found


def ids(place: Place, service: str) -> list[str]:
    """The containers of one service, oldest first, whether they run or not; one-shots of `run` apart."""
    label = f"label={PROJECT}={project(place)}"
    more = (
        "--filter",
        f"label=com.docker.compose.service={service}",
        "--filter",
        "label=com.docker.compose.oneoff=False",
    )
    found = engine.inspect(*engine.run("ps", "--all", "--quiet", "--no-trunc", "--filter", label, *more).split())
    return [one["Id"] for one in sorted(found, key=lambda one: str(one["Created"]))]


def config(place: Place) -> dict[str, Any]:
    """What compose makes of the file and the settings."""
    found: dict[str, Any] = json.loads(run(place, "config", "--format", "json"))
    return found


def hashes(place: Place) -> dict[str, str]:
    """One hash for each lasting service over all that its container is made from."""
    found = config(place)
    services, networks = found["services"], found["networks"]
    parts = {
        name: [services[name], [networks[one] for one in sorted(services[name].get("networks") or {})]]
        for name in (*LASTING, GRAFANA)
        if name in services
    }
    texts = {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def drop_networks(place: Place, keep: Iterable[str] = ()) -> None:
    """Remove the stack's networks but those of these names: what compose's file no longer names, it leaves behind."""
    label = f"label={PROJECT}={project(place)}"
    names = engine.run("network", "ls", "--filter", label, "--format", "{{.Name}}").split()
    for name in set(names) - set(keep):
        engine.run("network", "rm", name)


def ill(found: dict[str, State]) -> list[str]:
    """What is wrong with the containers, in words; empty when all of them are well."""
    wrong = [f"{name} has no container" for name in LASTING if name not in found]
    return wrong + [f"{one.service} is {one.status}, {one.health}" for one in found.values() if not one.well]
