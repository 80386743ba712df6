"""The stack's file for Swarm, made from what compose makes of docker-compose.yml and docker-compose.cluster.yml.

Swarm's own format is older than compose's: what it has another word for is said in that, what it cannot do is dropped
here by name (and no-new-privileges is then a setting of the engine), and anything else is left as it is, so that a word
that Swarm does not know is refused by it and not lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

Config = dict[str, Any]

ONCE = ("migrate",)
"""Run on the first manager, not by Swarm."""
EDGE_FILES = "edge-config"
"""A job on each edge's host; no service of the stack."""
NUMBERED = ("postgres", "valkey", "sentinel", "postgres-exporter")
"""One for each host with data."""
DATA_HOSTS = (1, 2, 3)
SERVERS = tuple(f"postgres-{number}" for number in DATA_HOSTS)
"""The database's, one on each."""
WITHOUT = ("depends_on", "restart", "pull_policy", "security_opt", "ports")
"""Order and restarts are Swarm's own; images are named so that nobody can be asked for them; nothing is published."""
NETWORK_OF_HOST = "host"
SECRET_MODE = 0o400
_TMPFS = re.compile(r"(?P<target>/[^:]+):.*?size=(?P<size>\d+)(?P<unit>[km])")
_UNITS = {"k": 1 << 10, "m": 1 << 20}


def derive(config: Mapping[str, Any], signing: Mapping[str, Path]) -> Config:
    """The stack's file. `signing`: the app's keys by file name, which become secrets of their own.

    Secrets and services are named after their contents and numbers; the content of each secret's file is read.
    """
    found = deepcopy(dict(config))
    services: dict[str, Config] = found["services"]
    for name in ONCE:
        services.pop(name, None)
    _sign(found, signing)
    names = {name: _versioned(name, Path(one["file"])) for name, one in found["secrets"].items()}
    made = dict(_numbered(services))
    used = {one["source"] for service in made.values() for one in service.get("secrets", [])}
    return {
        "version": "3.9",
        "services": {name: _service(service) for name, service in made.items()},
        "networks": _networks(found, made),
        "volumes": {name: {} for name in _volumes(made)},
        "secrets": {name: {"name": names[name], "file": found["secrets"][name]["file"]} for name in sorted(used)},
    }


def without_app(config: Config) -> Config:
    """The same with no app: nobody is to be served while the database is another."""
    found = deepcopy(config)
    found["services"]["app"]["deploy"]["replicas"] = 0
    return found


def _versioned(name: str, file: Path) -> str:
    """Swarm's secrets never change: another content is another secret, and its services are replaced."""
    return f"portcullis_{name}_{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def _sign(config: Config, signing: Mapping[str, Path]) -> None:
    for file, path in signing.items():
        name = f"signing_{Path(file).stem}"
        config["secrets"][name] = {"file": str(path)}
        config["services"]["app"]["secrets"].append({"source": name, "target": f"/run/signing/{file}"})


def _numbered(services: Mapping[str, Config]) -> Iterator[tuple[str, Config]]:
    """Each service, those of the stores once for each host with data."""
    for name, service in services.items():
        if name not in NUMBERED:
            yield name, service
            continue
        for number in DATA_HOSTS:
            yield f"{name}-{number}", _of_host(name, service, number)


def _of_host(name: str, service: Config, number: int) -> Config:
    one = deepcopy(service)
    if name == "postgres-exporter":
        uri = one["environment"]["DATA_SOURCE_URI"]
        one["environment"]["DATA_SOURCE_URI"] = uri.replace("postgres:", f"postgres-{number}:", 1)
        return one
    one["environment"]["SELF"] = f"{name}-{number}"
    for volume in one.get("volumes", []):
        if volume["type"] == "volume":
            volume["source"] = f"{volume['source']}-{number}"
    one["deploy"].setdefault("placement", {})["constraints"] = [f"node.labels.portcullis.data.{number} == yes"]
    return one


def _service(service: Config) -> Config:
    made = {key: value for key, value in service.items() if key not in WITHOUT and value is not None}
    user, _, group = str(service["user"]).partition(":")
    if made.pop("network_mode", "") == NETWORK_OF_HOST:
        made["networks"] = {NETWORK_OF_HOST: None}
    volumes = [_volume(one) for one in service.get("volumes", [])]
    volumes += [_space(one) for one in made.pop("tmpfs", [])]
    # The order of `docker service update`: after one the next `up` would replace the service for nothing.
    made["volumes"] = sorted(volumes, key=lambda one: (one.get("source", ""), one["target"]))
    if "secrets" in service:
        made["secrets"] = [
            {
                "source": one["source"],
                "target": one.get("target", one["source"]),
                "uid": user,
                "gid": group,
                "mode": SECRET_MODE,
            }
            for one in service["secrets"]
        ]
    limits = made["deploy"]["resources"]["limits"]
    limits["cpus"] = str(limits["cpus"])
    return made


def _volumes(services: Mapping[str, Config]) -> list[str]:
    every = (one for service in services.values() for one in service.get("volumes", []))
    return sorted({one["source"] for one in every if one["type"] == "volume"})


def _volume(one: Config) -> Config:
    """Without what compose adds of its own."""
    return {key: one[key] for key in ("type", "source", "target", "read_only") if key in one}


def _space(text: str) -> Config:
    """Room in memory. Swarm gives it to root, and to others as far as the image's folder does: /tmp is everybody's."""
    match = _TMPFS.fullmatch(text) or _TMPFS.match(text)
    if match is None:
        raise ValueError(f"{text} has no size")
    return {"type": "tmpfs", "target": match["target"], "tmpfs": {"size": int(match["size"]) * _UNITS[match["unit"]]}}


def _networks(config: Config, services: Mapping[str, Config]) -> Config:
    used = {one for service in services.values() for one in service.get("networks") or {}}
    found = {name: {"name": config["networks"][name]["name"], "external": True} for name in sorted(used)}
    return found | {NETWORK_OF_HOST: {"name": NETWORK_OF_HOST, "external": True}}
