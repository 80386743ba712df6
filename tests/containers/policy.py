"""The rules that every container keeps: over the compose file, and over what the kernel says of a running one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stack import engine

Service = Mapping[str, Any]
LOOPBACK = "127.0.0.1"
ON_THE_HOST = {"edge", "edge-config"}
ONE_SHOT = {"migrate", "edge-config"}
INTERNAL = {"backend", "monitoring"}
THEIRS = {"grafana"}
"""Services whose image is the operator's choice: it is named in full, and the engine has it already."""
NAMESPACES = ("pid", "ipc", "mnt")
UNLIMITED = 1 << 60


def _limits(service: Service) -> Mapping[str, Any]:
    found: Mapping[str, Any] = service.get("deploy", {}).get("resources", {}).get("limits", {})
    return found


def _secret_names(environment: Mapping[str, str | None]) -> list[str]:
    """Names of what might be secret; a path to a file and a number are not."""
    words = ("password", "secret", "token", "key")
    return [
        name
        for name, value in environment.items()
        if any(one in name.lower() for one in words) and value and not re.fullmatch(r"/.*|[0-9.]+", value)
    ]


def _ours(image: str) -> bool:
    return image.startswith("portcullis.invalid/")


def _qualified(image: str) -> bool:
    """With a registry's host, so that no other registry is ever asked, and with a tag or a digest."""
    host, _, path = image.partition("/")
    return ("." in host or ":" in host or host == "localhost") and (":" in path or "@sha256:" in path)


RULES: dict[str, Callable[[str, Service], bool]] = {
    "non-root": lambda _, one: one.get("user", "0").partition(":")[0] not in ("", "0", "root"),
    "read-only": lambda _, one: one.get("read_only") is True,
    "sized tmpfs": lambda _, one: bool(one.get("tmpfs")) and all("size=" in path for path in one["tmpfs"]),
    "no capability": lambda _, one: one.get("cap_drop") == ["ALL"] and not one.get("cap_add"),
    "no new privileges": lambda _, one: one.get("security_opt") == ["no-new-privileges:true"],
    "not privileged": lambda _, one: not one.get("privileged") and not one.get("devices"),
    "memory": lambda _, one: int(_limits(one).get("memory") or 0) > 0,
    "processors": lambda _, one: float(_limits(one).get("cpus") or 0) > 0,
    "pids": lambda _, one: int(_limits(one).get("pids") or 0) > 0,
    "open files": lambda _, one: one.get("ulimits", {}).get("nofile", {}).get("hard", 0) > 0,
    "healthcheck": lambda name, one: name in ONE_SHOT or bool(one.get("healthcheck", {}).get("test")),
    "log rotation": lambda _, one: {"max-size", "max-file"} <= set(one.get("logging", {}).get("options", {})),
    "ports on loopback": lambda _, one: all(port.get("host_ip") == LOOPBACK for port in one.get("ports", [])),
    "network": lambda name, one: (one.get("network_mode") == "host") == (name in ON_THE_HOST),
    "no secret in the environment": lambda _, one: not _secret_names(one.get("environment", {})),
    "our image": lambda name, one: (
        one.get("pull_policy") == "never" and (_ours(one["image"]) or (name in THEIRS and _qualified(one["image"])))
    ),
    "no socket of the engine": lambda _, one: all("docker.sock" not in v["source"] for v in one.get("volumes", [])),
    "binds read-only": lambda _, one: all(v["type"] == "volume" or v.get("read_only") for v in one.get("volumes", [])),
    "own namespaces": lambda _, one: not {"pid", "ipc", "uts", "userns_mode", "cgroup"} & set(one),
    "restart": lambda name, one: one.get("restart") == ("no" if name in ONE_SHOT else "unless-stopped"),
}


def broken(config: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Each service with each rule that it misses, in `docker compose config --format json`."""
    found = {
        (name, rule) for name, one in config["services"].items() for rule, kept in RULES.items() if not kept(name, one)
    }
    return found | {(name, "internal") for name in INTERNAL if not config["networks"].get(name, {}).get("internal")}


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _root_options(pid: int) -> list[str]:
    lines = [line.split() for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()]
    return next(fields[3].split(",") for fields in lines if fields[1] == "/")


def _environ(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(line.partition("=")[::2] for line in text.split("\0") if line)


def _own_namespaces(pid: int) -> bool:
    return all(
        Path(f"/proc/{pid}/ns/{name}").readlink() != Path(f"/proc/self/ns/{name}").readlink() for name in NAMESPACES
    )


EFFECTIVE: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "non-root": lambda one: "0" not in _status(one["State"]["Pid"])["Uid"].split(),
    "no group of root's": lambda one: (
        not any("0" in _status(one["State"]["Pid"])[name].split() for name in ("Gid", "Groups"))
    ),
    "own namespaces": lambda one: _own_namespaces(one["State"]["Pid"]),
    "binds read-only": lambda one: all(mount["Type"] != "bind" or not mount["RW"] for mount in one["Mounts"]),
    "sized tmpfs": lambda one: all(
        "size=" in options for options in one["HostConfig"].get("Tmpfs", {"/": ""}).values()
    ),
    "no secret in the environment": lambda one: not _secret_names(_environ(one["State"]["Pid"])),
    "no capability": lambda one: all(
        int(_status(one["State"]["Pid"])[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    ),
    "no new privileges": lambda one: _status(one["State"]["Pid"])["NoNewPrivs"] == "1",
    "seccomp": lambda one: _status(one["State"]["Pid"])["Seccomp"] == "2",
    "read-only": lambda one: "ro" in _root_options(one["State"]["Pid"]),
    "memory": lambda one: 0 < one["HostConfig"]["Memory"] < UNLIMITED,
    "processors": lambda one: one["HostConfig"]["NanoCpus"] > 0,
    "pids": lambda one: (one["HostConfig"]["PidsLimit"] or 0) > 0,
    "healthcheck": lambda one: "Health" in one["State"],
    "log rotation": lambda one: "max-size" in one["HostConfig"]["LogConfig"]["Config"],
    "ports on loopback": lambda one: all(
        binding["HostIp"] == LOOPBACK
        for bindings in one["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ),
}


def broken_effect(container: str) -> set[str]:
    """The rules that a running container misses, whatever its file says."""
    (one,) = engine.inspect(container)
    return {rule for rule, kept in EFFECTIVE.items() if not kept(one)}
