"""The container engine of this machine: whether one answers, what it can do, and asking it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stack.problem import Problem

ANSWER_SECONDS = 20.0
OLDEST_ENGINE = (20, 10)
OLDEST_COMPOSE = (2, 20)
PASSED = ("PATH", "HOME", "LANG", "TZ", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR")
"""What of the caller's environment the engine's client needs. Anything else could replace a setting in the compose
file, since there the environment beats the file of settings."""


def environ() -> dict[str, str]:
    """The environment of the engine's client."""
    return {key: os.environ[key] for key in PASSED if key in os.environ} | {"DOCKER_BUILDKIT": "1"}


def reachable() -> bool:
    """Whether an engine answers and its compose plugin is there."""
    return bool(shutil.which("docker") and server_version() and compose_version())


def server_version() -> tuple[int, ...]:
    """The engine's version; empty when none answers."""
    return _version("version", "--format", "{{.Server.Version}}")


def compose_version() -> tuple[int, ...]:
    """The compose plugin's version; empty when there is none."""
    return _version("compose", "version", "--short")


def buildx_version() -> tuple[int, ...]:
    """The build plugin's version; empty when there is none."""
    text = _said("buildx", "version").split()
    return numbers(text[1]) if len(text) > 1 else ()


def _version(*words: str) -> tuple[int, ...]:
    return numbers(_said(*words))


def numbers(text: str) -> tuple[int, ...]:
    """`v2.26.1-4` as (2, 26, 1); empty for what is no version."""
    plain = text.strip().removeprefix("v").partition("-")[0].partition("+")[0]
    parts = plain.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def _said(*words: str) -> str:
    try:
        done = attempt(*words, seconds=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def attempt(*words: str | Path, given: str = "", seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run `docker …`, whatever comes of it. Raises OSError without the client, TimeoutExpired after `seconds`."""
    return subprocess.run(
        ["docker", *words], input=given, env=environ(), capture_output=True, text=True, timeout=seconds, check=False
    )


def run(*words: str | Path, given: str = "", seconds: float | None = None) -> str:
    """Run `docker …` and return what it printed; raises Problem with its words when it fails."""
    done = attempt(*words, given=given, seconds=seconds)
    if done.returncode:
        shown = " ".join(str(word) for word in words[:3])
        raise Problem(f"`docker {shown} …` failed:\n{_last(done.stderr or done.stdout)}")
    return done.stdout.rstrip("\n")


def show(words: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
    """Run `docker …` with the person's terminal; returns its exit code."""
    return subprocess.run(["docker", *words], env=environ() | dict(environment or {}), check=False).returncode


def _last(text: str, lines: int = 12) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines()[-lines:])


def inspect(*names: str) -> list[dict[str, Any]]:
    """What the engine knows of containers or images; empty when one of them is not there."""
    done = attempt("inspect", *names) if names else None
    return list(json.loads(done.stdout)) if done and done.returncode == 0 else []


def has_image(name: str) -> bool:
    """Whether the engine holds the image."""
    return attempt("image", "inspect", "--format", "{{.Id}}", name).returncode == 0


def image_id(name: str) -> str:
    """The image's content address; empty when the engine does not hold it."""
    return attempt("image", "inspect", "--format", "{{.Id}}", name).stdout.strip()


def wanting() -> list[str]:
    """What keeps this machine's engine from serving the stack, in sentences."""
    return [sentence for sentence in (_engine(), _plugins(), _limits()) if sentence]


def _engine() -> str | None:
    found = server_version()
    if not found:
        return "No container engine answers. Start it, or let `make engine` do so."
    old = found < OLDEST_ENGINE
    return f"The container engine is older than {_text(OLDEST_ENGINE)}: `make engine` says what to do." if old else None


def _plugins() -> str | None:
    compose, buildx = compose_version(), buildx_version()
    if compose >= OLDEST_COMPOSE and buildx:
        return None
    return f"The engine's plugins compose ({_text(OLDEST_COMPOSE)} or later) and buildx are needed: make engine"


def _limits() -> str | None:
    """A kernel that does not enforce a limit would let the engine start the container all the same."""
    facts = json.loads(_said("info", "--format", "{{json .}}") or "{}")
    missing = [name for key, name in LIMITS.items() if facts.get(key) is False]
    return f"This kernel cannot limit {', '.join(missing)} of a container." if missing else None


LIMITS = {"MemoryLimit": "the memory", "CPUCfsQuota": "the processor time", "PidsLimit": "the processes"}


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
