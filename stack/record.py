"""What the running stack was started with, so that later commands speak to it and not to today's settings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from stack.place import Place


@dataclass(frozen=True)
class Record:
    """`settings` are the operator's (none of them is a secret); `cannot` is what the edge cannot do on this machine."""

    https_port: int
    http_port: int
    fingerprint: str
    settings: dict[str, str] = field(default_factory=dict)
    cannot: list[str] = field(default_factory=list)
    services: dict[str, str] = field(default_factory=dict)
    """Of a stack in containers: what each service was made from, as a hash."""
    unwatched: str = ""
    """Of a stack without containers: why it has no Prometheus, where nobody decided that."""


def read(path: Path) -> Record | None:
    """The record at `path`; None when there is none or it is not readable as one."""
    try:
        return Record(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def write(path: Path, record: Record) -> None:
    """Put `record` at `path`, whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(vars(record), indent=2, sort_keys=True) + "\n")
    draft.chmod(0o600)
    draft.replace(path)


def as_started(place: Place, record: Record) -> Place:
    """The place with the ports it was started with."""
    return replace(place, https_port=record.https_port, http_port=record.http_port)
