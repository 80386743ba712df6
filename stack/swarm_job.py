"""A task that Swarm runs once, on the host or hosts of a service: with its image, its secrets and its volumes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

from stack import engine, processes
from stack.problem import Problem
from stack.swarm_file import Config
from stack.swarm_order import order

SECONDS = 120.0
PLACED_SECONDS = 45.0
"""Until a host has taken it: a lost one is known as lost within about 20."""
LINES = "24"
OVER = ("Complete", "Failed", "Rejected", "Orphaned", "Remove", "Shutdown")


def run(
    stack: str,
    config: Config,
    service: str,
    name: str,
    command: Sequence[str] = (),
    seconds: float = SECONDS,
    lines: str = LINES,
) -> str:
    """Run it to its end; its last lines, or `all`. Raises Problem with them when it fails, or has not ended by then."""
    full = f"{stack}_{name}"
    one = config["services"][service]
    words = list(_words(stack, config, one))
    engine.attempt("service", "rm", full)
    order(
        "service",
        "create",
        "--detach",
        "--quiet",
        f"--name={full}",
        *words,
        one["image"],
        *(command or one.get("command", ())),
    )
    try:
        placed = time.monotonic() + PLACED_SECONDS
        processes.until(lambda: _over(full) or (_unplaced(full) and time.monotonic() > placed), seconds)
        failed = [task for task in _tasks(full) if not task.startswith("Complete")]
        done = engine.attempt("service", "logs", "--raw", f"--tail={lines}", full)
        said = (done.stdout + done.stderr).strip()
        if failed or not _tasks(full):
            raise Problem(f"{name} failed: {', '.join(failed)}\n{said}")
        return said
    finally:
        engine.attempt("service", "rm", full)


def _unplaced(service: str) -> bool:
    """Whether no host takes it: the one that it is for is lost, or drained."""
    return all(task.startswith("Pending") for task in _tasks(service))


def _over(service: str) -> bool:
    tasks = _tasks(service)
    return bool(tasks) and all(task.startswith(OVER) for task in tasks)


def _tasks(service: str) -> list[str]:
    done = engine.attempt("service", "ps", "--no-trunc", "--format={{.CurrentState}} {{.Error}}", service)
    return [line.strip() for line in done.stdout.splitlines()]


def _words(stack: str, config: Config, one: Config) -> Iterator[str]:
    """What `docker service create` is told, which the stack's file says in other words."""
    deploy = one["deploy"]
    yield f"--mode={'global-job' if deploy.get('mode') == 'global' else 'replicated-job'}"
    yield from ("--restart-condition=none", "--no-resolve-image", "--read-only", f"--user={one['user']}")
    yield from (f"--cap-drop={name}" for name in one["cap_drop"])
    yield from (f"--constraint={text}" for text in deploy["placement"]["constraints"])
    yield from (f"--network={config['networks'][name]['name']}" for name in one.get("networks", {}))
    yield from (f"--env={name}={value}" for name, value in one.get("environment", {}).items())
    limits = deploy["resources"]["limits"]
    yield from (f"--limit-cpu={limits['cpus']}", f"--limit-memory={limits['memory']}", f"--limit-pids={limits['pids']}")
    for mount in one["volumes"]:
        yield f"--mount={_mount(stack, mount)}"
    for secret in one.get("secrets", []):
        name = config["secrets"][secret["source"]]["name"]
        yield _secret(name, config["secrets"][secret["source"]]["file"], secret)


def _secret(name: str, file: str, secret: Config) -> str:
    """The word for it; it is made where it is not there yet."""
    if not json.loads(engine.attempt("secret", "inspect", name).stdout or "[]"):
        order("secret", "create", name, file)
    ends = f"uid={secret['uid']},gid={secret['gid']},mode={secret['mode']:04o}"
    return f"--secret=source={name},target={secret['target']},{ends}"


def _mount(stack: str, mount: Config) -> str:
    if mount["type"] == "tmpfs":
        return f"type=tmpfs,destination={mount['target']},tmpfs-size={mount['tmpfs']['size']}"
    source = f"{stack}_{mount['source']}" if mount["type"] == "volume" else mount["source"]
    readonly = ",readonly" if mount.get("read_only") else ""
    return f"type={mount['type']},source={source},destination={mount['target']}{readonly}"
