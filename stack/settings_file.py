"""The operator's settings: var/settings.env, and what the command's own environment adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from stack import embedded_watch, knobs
from stack.place import Place
from stack.problem import Problem

BARE = ("DATABASE_URL", "DATABASE_PASSWORD_FILE", "REDIS_URL", "REDIS_PASSWORD_FILE", "WORKERS")
"""Taken from the file only: a shell often carries another project's DATABASE_URL."""
LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
DRAIN_SECONDS = 20.0
GRACEFUL_SECONDS = 30.0
"""The server's defaults; its own check refuses a drain that does not fit into the graceful time."""


def parse(text: str, name: str) -> dict[str, str]:
    """KEY=VALUE lines; blank lines and `#` lines are skipped, one pair of quotes around a value is taken off."""
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match:
            raise Problem(f"{name}, line {number} is not KEY=VALUE: correct or remove it.")
        key, value = match.groups()
        if not key.startswith("PORTCULLIS_") and key not in BARE:
            raise Problem(f"{name}, line {number}: {key} is not a setting of Portcullis.")
        found[key] = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    return found


def read(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The file's settings, overridden by every PORTCULLIS_ variable of the command's environment."""
    try:
        found = parse(path.read_text(), str(path))
    except (FileNotFoundError, NotADirectoryError):
        found = {}
    found.update({key: value for key, value in environ.items() if key.startswith("PORTCULLIS_")})
    return found


def hosts(settings: Mapping[str, str]) -> list[str]:
    """The names the certificate and the edge answer to; the machine's own loopback names by default."""
    return words(settings.get("PORTCULLIS_HOSTS", "localhost,127.0.0.1,[::1]"))


def words(text: str) -> list[str]:
    """`one, two` as a list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def for_app(place: Place, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of every process of the app: the operator's settings, and what follows from the ports."""
    suffix = "" if place.https_port == 443 else f":{place.https_port}"
    origins = [f"https://{host}{suffix}" for host in hosts(settings)]
    derived = {
        "PORTCULLIS_STATE": str(place.state),
        "PORTCULLIS_ORIGINS": ",".join(origins),
        "PORTCULLIS_ISSUER": origins[0] if origins else place.origin,
        "PYTHONPATH": str(place.code),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    derived |= embedded_watch.for_app(settings)
    return derived | {key: value for key, value in settings.items() if key not in knobs.NAMES}


def seconds(settings: Mapping[str, str], name: str, default: float) -> float:
    """A duration of the app's that the supervisor must wait for; anything unreadable is left to the app's check."""
    try:
        return float(settings.get(name, default))
    except ValueError:
        return default
