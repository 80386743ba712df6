"""The stack's file of a cluster, made of the real files: Swarm takes it, and no service misses a rule of hardening."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stack import compose, contained_settings, engine, images, place, swarm, swarm_file
from stack.place import CLONE
from tests.containers.policy import RULES

Service = Mapping[str, Any]
SHARED = (
    *("non-root", "read-only", "no capability", "not privileged", "memory", "processors", "pids", "open files"),
    *("log rotation", "no secret in the environment"),
)
"""Rules of one host that are written the same way here."""
ON_THE_HOST = {"edge", swarm_file.EDGE_FILES}
OWN: dict[str, Callable[[str, Service], bool]] = {
    "healthcheck": lambda name, one: name == swarm_file.EDGE_FILES or bool(one["healthcheck"].get("test")),
    "sized memory": lambda _, one: all(v["tmpfs"]["size"] > 0 for v in one["volumes"] if v["type"] == "tmpfs"),
    "nothing of the host's": lambda _, one: {v["type"] for v in one["volumes"]} <= {"volume", "tmpfs"},
    "no published port": lambda _, one: not one.get("ports"),
    "our image": lambda _, one: one["image"].startswith("portcullis.invalid/"),
    "network": lambda name, one: ("host" in one["networks"]) == (name in ON_THE_HOST),
    "secrets are its user's alone": lambda _, one: all(
        (s["uid"], s["mode"]) == (one["user"].partition(":")[0], 0o400) for s in one.get("secrets", [])
    ),
    "no virtual address": lambda name, one: (
        name == swarm_file.EDGE_FILES or one["deploy"].get("endpoint_mode") == "dnsrr"
    ),
    "a host is named": lambda name, one: (
        name == "node-exporter" or bool(one["deploy"].get("placement", {}).get("constraints"))
    ),
}
BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "non-root": lambda one: one.pop("user"),
    "read-only": lambda one: one.pop("read_only"),
    "no capability": lambda one: one.update(cap_add=["NET_ADMIN"]),
    "not privileged": lambda one: one.update(privileged=True),
    "memory": lambda one: one["deploy"]["resources"]["limits"].pop("memory"),
    "processors": lambda one: one["deploy"]["resources"]["limits"].pop("cpus"),
    "pids": lambda one: one["deploy"]["resources"]["limits"].pop("pids"),
    "open files": lambda one: one.pop("ulimits"),
    "log rotation": lambda one: one.pop("logging"),
    "no secret in the environment": lambda one: one["environment"].update(DATABASE_PASSWORD="x"),
    "healthcheck": lambda one: one["healthcheck"].pop("test"),
    "sized memory": lambda one: one["volumes"].append({"type": "tmpfs", "target": "/x", "tmpfs": {"size": 0}}),
    "nothing of the host's": lambda one: one["volumes"].append({"type": "bind", "source": "/", "target": "/x"}),
    "no published port": lambda one: one.update(ports=[{"published": 5432, "target": 5432}]),
    "our image": lambda one: one.update(image="postgres:17"),
    "network": lambda one: one["networks"].update(host=None),
    "secrets are its user's alone": lambda one: one["secrets"][0].update(mode=0o444),
    "no virtual address": lambda one: one["deploy"].pop("endpoint_mode"),
    "a host is named": lambda one: one["deploy"].pop("placement"),
}


def broken(config: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Each service with each rule that it misses."""
    rules = {**{name: RULES[name] for name in SHARED}, **OWN}
    return {
        (name, rule)
        for name, one in config["services"].items()
        for rule, kept in rules.items()
        if not kept(name, {"user": "0", **one})
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """For a state folder with every file of secrets, whose contents do not matter."""
    where = place.choose({"PORTCULLIS_STATE": str(tmp_path_factory.mktemp("cluster"))})
    folder = compose.folder(where)
    (folder / "alertmanager").mkdir(parents=True)
    (folder / "alertmanager" / "alertmanager.yml.of").write_text("0")
    cluster = swarm.Cluster(where, {})
    wanted = contained_settings.for_compose(where, {}, images.names(CLONE, cluster=True))
    (folder / "compose.env").write_text(
        contained_settings.text(wanted | {"PORTCULLIS_APPS": "3", "PORTCULLIS_BACKUP_HOUR": "3"})
    )
    (folder / "app.env").write_text(contained_settings.text(contained_settings.for_app(where, {})))
    for name in ("keys/signing", "secrets", "inner", "stores", "tls"):
        (folder / name).mkdir(parents=True)
    (folder / "keys" / "signing" / "1.pem").write_text("key")
    listed = cluster.composed()["secrets"].values()
    for file in (Path(one["file"]) for one in listed):
        if not file.exists():
            file.write_text(file.name)
    return cluster.config()


def test_it_keeps_every_rule(made: dict[str, Any]) -> None:
    """No service of either file misses one."""
    stores = {f"{name}-{number}" for name in ("postgres", "valkey", "sentinel") for number in swarm_file.DATA_HOSTS}
    assert (
        stores | {"repository", "app", "edge", "relay", "counter", "prometheus", "alertmanager"}
        <= made["services"].keys()
    )
    assert broken(made) == set()


def test_every_rule_has_a_break() -> None:
    """Nothing is a rule that no test has seen broken."""
    assert BREAKS.keys() == {*SHARED, *OWN}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_broken_copy_is_caught(made: dict[str, Any], rule: str) -> None:
    """For that rule, and for that service."""
    copied = copy.deepcopy(made)
    BREAKS[rule](copied["services"]["app"])
    assert ("app", rule) in broken(copied)


def test_swarm_takes_it(made: dict[str, Any], tmp_path: Path) -> None:
    """`docker stack config` reads it; with a word that Swarm does not know it does not."""
    (tmp_path / "stack.json").write_text(json.dumps(made))
    words = ("stack", "config", "--compose-file")
    assert engine.attempt(*words, tmp_path / "stack.json").returncode == 0
    copied = copy.deepcopy(made)
    copied["services"]["app"]["group_add"] = ["1"]
    (tmp_path / "other.json").write_text(json.dumps(copied))
    done = engine.attempt(*words, tmp_path / "other.json")
    assert done.returncode and "group_add" in done.stderr


def test_ways_out_are_closed(made: dict[str, Any]) -> None:
    """Where no setting names anybody outside, no service is on a network that leads there."""
    used = {made["networks"][name]["name"] for one in made["services"].values() for name in one["networks"]}
    closed = {f"{swarm.STACK}_{name}" for name, internal in swarm.NETWORKS.items() if internal}
    assert used - {"host"} == closed
