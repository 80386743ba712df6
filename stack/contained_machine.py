"""What must be true before `make up` changes anything where the stack runs in containers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping

from stack import compose, contained_grafana, engine, knobs, listeners, machine, place, record
from stack.contained_settings import WATCHERS
from stack.place import Place

LEAST_DISK_BYTES = 4 << 30
"""The images are about 1 GiB, and as much again while they are built."""


def problems(where: Place, settings: Mapping[str, str]) -> list[str]:
    """Everything that keeps the stack from starting here, as sentences. Changes nothing."""
    return [sentence for sentence in _every(where, settings) if sentence]


def _every(where: Place, settings: Mapping[str, str]) -> Iterator[str | None]:
    yield from engine.wanting()
    running = compose.states(where)
    found = record.read(where.record)
    held = {found.https_port, found.http_port} if found and "edge" in running else set()
    first = machine.first_open_port()
    for name, port in (("PORTCULLIS_HTTPS_PORT", where.https_port), ("PORTCULLIS_HTTP_PORT", where.http_port)):
        yield (None if port in held else taken(name, port)) or machine.port_allowed(name, port, first)
    for name, service in zip(WATCHERS, ("prometheus", "alertmanager"), strict=True):
        port = place.port(settings, name, int(knobs.DEFAULTS[name]))
        yield None if service in running else taken(name, port)
    if contained_grafana.wanted(settings):
        yield contained_grafana.problem(settings)
        there = contained_grafana.SERVICE in running
        yield None if there else taken(contained_grafana.PORT, contained_grafana.port(settings))
    yield disk(shutil.disk_usage(machine.existing(where.state)).free)
    yield machine.clock(time.time(), machine.newest(where.clone))


def taken(name: str, port: int) -> str | None:
    """Nobody listens on `port`."""
    other = port + 1000 if port < 64000 else port - 1000
    return (
        f"Port {port} is taken. Stop what listens there, or choose another: {name}={other}"
        if listeners.busy(port)
        else None
    )


def disk(free_bytes: int) -> str | None:
    """Room for the images and the volumes."""
    least = LEAST_DISK_BYTES >> 20
    free = free_bytes >> 20
    return None if free >= least else f"Only {free} MiB are free, and the containers need {least}. Free some space."
