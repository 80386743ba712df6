"""Replacing the app while clients are connected: the new one healthy first, then the edge turned to it, then the old
one drained. Whatever fails before the turn leaves the old one as it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from stack import compose, contained_settings, engine, processes, record
from stack.place import Place
from stack.problem import Problem
from stack.steps import Steps

HEALTHY_SECONDS = 90.0
APP = "app"
LIVE = ("python", "-m", "stack.contained_app")
NGINX = "/var/lib/portcullis/edge"
RELOAD = ("sh", "-c", "kill -HUP 1")
"""From inside: an engine takes a signal that it sends for a stop by hand, and leaves the edge down after a reboot."""
CHECK = ("nginx", "-t", "-q", "-p", NGINX, "-e", "stderr", "-c", f"{NGINX}/nginx.conf")


def changed(place: Place) -> list[str]:
    """The services whose containers are not what the file and the settings say now."""
    found = record.read(place.record)
    made = found.services if found else {}
    return [service for service, wanted in compose.hashes(place).items() if made.get(service) != wanted]


def tidy(place: Place) -> None:
    """Of several apps, as a roll-out that was cut off leaves them, keep the one that is reached."""
    found = compose.ids(place, APP)
    if len(found) < 2:
        return
    reached = engine.run("exec", found[0], *LIVE, "which")
    for one in found:
        if not one.startswith(reached or found[0]):
            engine.run("rm", "--force", one)


def replace(place: Place, settings: Mapping[str, str], steps: Steps) -> None:
    """Bring the app to what the file and the settings say. Raises Problem with the old one serving on."""
    tidy(place)
    before = compose.ids(place, APP)
    with steps.step("start the new app beside the old one"):
        new = _start(place, before)
    with steps.step("turn the edge to it"):
        engine.run("exec", new, *LIVE, "live")
        reload_edge(place)
    with steps.step("drain the old app"):
        for old in before:
            engine.run("stop", "-t", str(contained_settings.stop_seconds(settings)), old)
            engine.run("rm", old)


def _start(place: Place, before: list[str]) -> str:
    """The id of the new container, once it is healthy; else it is gone again."""
    scale = ("--scale", f"{APP}={len(before) + 1}")
    done = compose.attempt(place, "up", "--detach", "--no-deps", "--no-recreate", *scale, APP, seconds=HEALTHY_SECONDS)
    fresh = [one for one in compose.ids(place, APP) if one not in before]
    settled = done.returncode == 0 and fresh and processes.until(lambda: _settled(fresh[0]), HEALTHY_SECONDS)
    if settled and _healthy(fresh[0]):
        return fresh[0]
    said = done.stderr.strip().splitlines()[-4:]
    for one in fresh:
        tail = engine.attempt("logs", "--tail=6", one)
        said += ["its last words:", *(tail.stdout + tail.stderr).strip().splitlines()]
        engine.run("rm", "--force", one)
    words = "\n".join(f"  {line}" for line in said)
    raise Problem(f"The new app did not become healthy and is gone again; the old one goes on:\n{words}")


def _healthy(container: str) -> bool:
    (one,) = engine.inspect(container)
    return bool(one["State"]["Health"]["Status"] == "healthy")


def _settled(container: str) -> bool:
    """Healthy, or started anew at least once: then it will not be."""
    (one,) = engine.inspect(container)
    return _healthy(container) or one["RestartCount"] > 0


def again(place: Place, service: str) -> None:
    """Run a one-shot anew, in a container of now. Raises Problem with its words when it fails."""
    compose.run(place, "up", "--no-deps", "--force-recreate", service)
    for one in engine.inspect(*compose.ids(place, service)):
        if one["State"]["ExitCode"]:
            said = compose.run(place, "logs", "--no-color", "--no-log-prefix", service)
            raise Problem(f"{service} failed:\n{said}")


def reload_edge(place: Place) -> None:
    """Have nginx read its configuration and certificate anew, dropping no socket. Raises Problem for a bad one."""
    done = compose.attempt(place, "exec", "--no-TTY", "edge", *CHECK)
    if done.returncode:
        raise Problem(f"nginx refuses its new configuration and goes on with the old one:\n{done.stderr.strip()}")
    compose.run(place, "exec", "--no-TTY", "edge", *RELOAD)
