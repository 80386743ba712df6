"""All that the logs have about one request: `make logs REQUEST=…`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from stack.problem import Problem

_FORM = re.compile(r"[0-9a-f]{32}")


def asked(environ: Mapping[str, str]) -> str | None:
    """Which request is asked about, if any. Raises Problem for what is no request's id."""
    given = environ.get("REQUEST", "").strip()
    if given and not _FORM.fullmatch(given):
        raise Problem("A request's id has 32 hexadecimal digits: it is the X-Request-Id of the answer.")
    return given or None


def with_id(lines: Iterable[str], request_id: str) -> Iterator[str]:
    """Those that have the id, without their ends."""
    return (line.rstrip("\n") for line in lines if request_id in line)


def in_folders(folders: Iterable[Path], request_id: str) -> Iterator[str]:
    """The lines of all files in the folders, rotated ones included."""
    found = {path.resolve() for folder in folders for path in folder.glob("*.log*") if path.is_file()}
    for path in sorted(found, key=lambda path: (path.stat().st_mtime, path.name)):
        with path.open(errors="replace") as file:
            yield from with_id(file, request_id)
