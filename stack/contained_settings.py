"""The two files of settings of the containers: what compose fills its file in from, and the app's environment."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Mapping

from stack import compose, contained_grafana, contained_watch, facts, knobs, place, settings_file
from stack.place import Place
from stack.problem import Problem

MOST_FILES = 1 << 20
SIZE = re.compile(r"[1-9][0-9]*([kmg]b?)", re.IGNORECASE)
PROCESSORS = ("PORTCULLIS_APP_CPUS", "PORTCULLIS_EDGE_CPUS", "PORTCULLIS_POSTGRES_CPUS")
SIZES = tuple(name for name in knobs.DEFAULTS if name.endswith(("_MEMORY", "_MAXMEMORY", "_BUFFERS")))
WATCHERS = ("PORTCULLIS_PROMETHEUS_PORT", "PORTCULLIS_ALERTMANAGER_PORT")
DECIDED = ("DATABASE_URL", "DATABASE_PASSWORD_FILE", "REDIS_URL", "REDIS_PASSWORD_FILE", "PORTCULLIS_PROMETHEUS_URL")
MOST_WORKERS = 14
"""Each has five connections to PostgreSQL, which lets the app have 80: some are left for commands beside it."""
OURS = ("PORTCULLIS_STATE", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONDONTWRITEBYTECODE")
"""Set by the image."""


def stop_seconds(settings: Mapping[str, str]) -> int:
    """How long the app may take to end: its graceful time, and some for the engine."""
    default = settings_file.GRACEFUL_SECONDS
    return round(settings_file.seconds(settings, "PORTCULLIS_GRACEFUL_SECONDS", default)) + 10


def for_compose(where: Place, settings: Mapping[str, str], images: Mapping[str, str]) -> dict[str, str]:
    """Every name that docker-compose.yml asks for. Raises Problem for a value that the engine would refuse."""
    found = {
        "PORTCULLIS_FOLDER": str(compose.folder(where)),
        "PORTCULLIS_HTTPS_PORT": str(where.https_port),
        "PORTCULLIS_HTTP_PORT": str(where.http_port),
        "PORTCULLIS_OUTER_PROXIES": settings.get("PORTCULLIS_OUTER_PROXIES", ""),
        "PORTCULLIS_STOP_SECONDS": str(stop_seconds(settings)),
        "PORTCULLIS_OPEN_FILES": _files(settings),
        "PORTCULLIS_ONE_CPU": "1",
        "PORTCULLIS_FACTS": str(facts.folder(where)),
        "PORTCULLIS_ACME": str(where.acme),
        "PORTCULLIS_ALERTMANAGER_MADE_FROM": contained_watch.state(where),
        "WORKERS": workers(settings),
    }
    issuers, collector = settings.get("PORTCULLIS_ISSUERS", ""), settings.get("PORTCULLIS_OTLP_ENDPOINT", "")
    found |= _way_out("OUTSIDE", issuers not in ("", "[]") or collector != "")
    found |= _way_out("ALERTING", contained_watch.receivers(where).exists())
    found |= {f"PORTCULLIS_IMAGE_{target.upper()}": name for target, name in images.items()}
    found |= {name: str(place.port(settings, name, int(knobs.DEFAULTS[name]))) for name in WATCHERS}
    found |= contained_grafana.for_compose(where, settings)
    found |= {name: _processors(settings, name) for name in PROCESSORS}
    return found | {name: _size(settings, name) for name in SIZES}


def for_app(where: Place, settings: Mapping[str, str]) -> dict[str, str]:
    """The app's environment. Raises Problem for what docker-compose.yml decides."""
    decided = [name for name in DECIDED if settings.get(name)]
    if decided:
        raise Problem(f"{decided[0]}: in containers docker-compose.yml decides that.")
    found = settings_file.for_app(where, settings)
    return {key: value for key, value in found.items() if key not in (*OURS, *DECIDED, "WORKERS")}


def text(values: Mapping[str, str]) -> str:
    """The values as compose reads them back, letter by letter."""
    for key, value in values.items():
        if "'" in value or "\n" in value:
            raise Problem(f"{key}: a quote or a line break cannot be passed on to the containers.")
    return "".join(f"{key}='{value}'\n" for key, value in sorted(values.items()))


def _way_out(network: str, wanted: bool) -> dict[str, str]:
    """A network that leads out of the host, or does not."""
    return {
        f"PORTCULLIS_{network}": "open" if wanted else "closed",
        f"PORTCULLIS_{network}_CLOSED": "false" if wanted else "true",
    }


def _files(settings: Mapping[str, str]) -> str:
    """The engine cannot give a container more than the host has."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    asked = settings.get("PORTCULLIS_OPEN_FILES") or str(most)
    if not asked.isdigit() or not 1024 <= int(asked) <= most:
        raise Problem(f"PORTCULLIS_OPEN_FILES must be from 1024 to {most}, this host's hard limit.")
    return asked


def workers(settings: Mapping[str, str]) -> str:
    """One for each processor, unless told otherwise. Raises Problem."""
    asked = settings.get("WORKERS") or str(min(os.cpu_count() or 1, MOST_WORKERS))
    if not asked.isdigit() or not 1 <= int(asked) <= MOST_WORKERS:
        raise Problem(f"WORKERS must be from 1 to {MOST_WORKERS} in containers, and is {asked!r}.")
    return asked


def _processors(settings: Mapping[str, str], name: str) -> str:
    most = os.cpu_count() or 1
    asked = settings.get(name) or str(most)
    try:
        right = 0.01 <= float(asked) <= most
    except ValueError:
        right = False
    if not right:
        raise Problem(f"{name} must be a number of processors up to {most}, and is {asked!r}.")
    return asked


def _size(settings: Mapping[str, str], name: str) -> str:
    asked = settings.get(name) or knobs.DEFAULTS[name]
    if not SIZE.fullmatch(asked):
        raise Problem(f"{name} must be a size such as 512m, and is {asked!r}.")
    return asked
