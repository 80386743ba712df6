"""One change of a cluster in steps, so that no two of the stores' servers are replaced at once.

Swarm takes its time within a service, and none between services: of what keeps the data there is a service for each
host, and each step changes those of one host.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

from stack.swarm_file import DATA_HOSTS, NUMBERED, Config

FORMER = "former_"
"""Before the name of a secret that a service still has from the stack's last file."""


def stages(before: Config | None, wanted: Config) -> Iterator[Config]:
    """The files to hand over one after the other; the last one is `wanted`. `before`: what was handed over last."""
    if before:
        done: list[str] = []
        for number in DATA_HOSTS:
            ours = [f"{kind}-{number}" for kind in NUMBERED]
            if any(differs(name, before, wanted) for name in ours):
                yield mixed(before, wanted, [*done, *ours])
            done += ours
    yield wanted


def differs(name: str, before: Config, wanted: Config) -> bool:
    """Whether the service would be replaced: by itself, or since a secret of it is another."""
    return _meant(name, before) != _meant(name, wanted)


def _meant(name: str, config: Config) -> Config:
    """The service, and each secret by what Swarm calls it."""
    service: Config = config["services"].get(name, {})
    secrets = [one | {"source": config["secrets"][one["source"]]["name"]} for one in service.get("secrets", [])]
    return service | {"secrets": secrets}


def mixed(before: Config, wanted: Config, names: list[str]) -> Config:
    """Those services as they are wanted, and all others as they were."""
    made = deepcopy(wanted)
    made["services"] = {}
    for name, service in deepcopy(before["services"]).items():
        if name in names:
            continue
        for one in service.get("secrets", []):
            known = before["secrets"][one["source"]]["name"]
            one["source"] = FORMER + one["source"]
            made["secrets"][one["source"]] = {"name": known, "external": True}
        made["services"][name] = service
    made["services"] |= {name: deepcopy(wanted["services"][name]) for name in names if name in wanted["services"]}
    made["networks"] = before["networks"] | wanted["networks"]
    made["volumes"] = before["volumes"] | wanted["volumes"]
    return made
