"""Every container keeps every rule, in the file and in effect, and a broken copy is caught rule by rule."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack import compose, engine
from tests.containers.contained import ContainedStack
from tests.containers.policy import EFFECTIVE, RULES, broken, broken_effect
from tests.patience import until

BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "non-root": lambda one: one.pop("user"),
    "read-only": lambda one: one.pop("read_only"),
    "sized tmpfs": lambda one: one.update(tmpfs=["/run"]),
    "no capability": lambda one: one.update(cap_add=["NET_ADMIN"]),
    "no new privileges": lambda one: one.pop("security_opt"),
    "not privileged": lambda one: one.update(privileged=True),
    "memory": lambda one: one["deploy"]["resources"]["limits"].pop("memory"),
    "processors": lambda one: one["deploy"]["resources"]["limits"].pop("cpus"),
    "pids": lambda one: one["deploy"]["resources"]["limits"].pop("pids"),
    "open files": lambda one: one.pop("ulimits"),
    "healthcheck": lambda one: one.pop("healthcheck"),
    "log rotation": lambda one: one.pop("logging"),
    "ports on loopback": lambda one: one.update(ports=[{"published": "5432", "target": 5432}]),
    "network": lambda one: one.update(network_mode="host"),
    "no secret in the environment": lambda one: one["environment"].update(DATABASE_PASSWORD="x"),
    "our image": lambda one: one.update(image="postgres:17"),
    "no socket of the engine": lambda one: one["volumes"].append(
        {"type": "bind", "read_only": True, "source": "/var/run/docker.sock", "target": "/s"}
    ),
    "binds read-only": lambda one: one["volumes"].append({"type": "bind", "source": "/", "target": "/host"}),
    "own namespaces": lambda one: one.update(pid="host"),
    "restart": lambda one: one.pop("restart"),
}


def test_the_file_keeps_every_rule(contained: ContainedStack) -> None:
    """No service of docker-compose.yml misses a rule, whatever profile it is in."""
    every = contained.config("*")
    assert {compose.GRAFANA, *compose.LASTING} <= every["services"].keys()
    assert broken(every) == set()


def test_grafanas_image_is_named_in_full(contained: ContainedStack) -> None:
    """Grafana keeps every rule with an image of the operator's, which has to be named in full."""
    config = contained.config("*")
    config["services"]["grafana"]["image"] = "registry.example/grafana/grafana:12.0.0"
    assert broken(config) == set()
    for bare in ("grafana/grafana:12.0.0", "grafana", "registry.example/grafana/grafana"):
        config["services"]["grafana"]["image"] = bare
        assert broken(config) == {("grafana", "our image")}


def test_every_rule_has_a_break() -> None:
    """No rule goes untried."""
    assert BREAKS.keys() == RULES.keys()


@pytest.mark.parametrize("rule", BREAKS)
def test_a_broken_copy_is_caught(contained: ContainedStack, rule: str) -> None:
    """A copy of the file in which one service misses one rule is caught for just that."""
    config = copy.deepcopy(contained.config())
    BREAKS[rule](config["services"]["postgres"])
    assert broken(config) == {("postgres", rule)}


def test_an_open_network_is_caught(contained: ContainedStack) -> None:
    """The stores' network has no way out, and a copy of the file in which it has one is caught."""
    config = copy.deepcopy(contained.config())
    del config["networks"]["backend"]["internal"]
    assert broken(config) == {("backend", "internal")}


def test_running_containers_keep_every_rule(contained: ContainedStack) -> None:
    """The kernel and the engine say of each running container what the file says."""
    containers = contained.containers()
    assert set(containers) == set(compose.LASTING)
    assert {name: broken_effect(one) for name, one in containers.items()} == {name: set() for name in containers}


def test_a_plain_container_misses_every_rule(contained: ContainedStack) -> None:
    """A container started without our options is caught for every effective rule but seccomp, the engine's own."""
    image = contained.config()["services"]["valkey"]["image"]
    ours = ("--user=0", "--publish=6379", "--pid=host", "--volume=/tmp:/host", "--env=DATABASE_PASSWORD=x")
    container = engine.run("run", "--detach", "--rm", *ours, "--entrypoint=sleep", image, "600")
    try:
        (one,) = engine.inspect(container)
        name = Path(f"/proc/{one['State']['Pid']}/comm")
        until(lambda: name.read_text() == "sleep\n", "the program of the container runs, not what starts it")
        assert broken_effect(container) == set(EFFECTIVE) - {"seccomp"}
    finally:
        engine.run("kill", container)
