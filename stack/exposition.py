"""Prometheus text expositions: reading them apart by family and making one of several."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
FOREIGN = ("go_", "process_", "promhttp_")
"""What mtail says about itself as a Go program: it would be mistaken for the app's own process."""


@dataclass
class Family:
    """One metric: its HELP and TYPE lines, and its samples by series."""

    headers: dict[str, str] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)


def families(text: str) -> dict[str, Family]:
    """The families of one exposition, in its order (Prometheus text format 0.0.4)."""
    found: dict[str, Family] = {}
    current = ""
    for line in text.splitlines():
        words = line.split(None, 3)
        if len(words) > 2 and words[0] == "#" and words[1] in ("HELP", "TYPE"):
            current = words[2]
            found.setdefault(current, Family()).headers[words[1]] = line
        elif words and words[0] != "#" and (match := NAME.match(line)):
            name = current if belongs(match[0], current) else match[0]
            series = line[: line.rindex("}") + 1] if "{" in line else match[0]
            found.setdefault(name, Family()).samples[series] = line
    return found


def belongs(sample: str, family: str) -> bool:
    """Whether a sample of this name is one of the family's: its own name, or a part of a histogram or summary."""
    return bool(family) and sample in {family, *(family + part for part in ("_bucket", "_sum", "_count", "_total"))}


def merge(texts: Iterable[str]) -> str:
    """One valid exposition: every family once, under one header. Of a series given twice the first is kept."""
    merged: dict[str, Family] = {}
    for number, text in enumerate(texts):
        for name, family in families(text).items():
            if number and name.startswith(FOREIGN):
                continue
            into = merged.setdefault(name, Family())
            into.headers = family.headers | into.headers
            into.samples = family.samples | into.samples
    lines = (line for one in merged.values() for line in (*_headers(one), *one.samples.values()))
    return "".join(line + "\n" for line in lines)


def _headers(family: Family) -> list[str]:
    return [family.headers[word] for word in ("HELP", "TYPE") if word in family.headers]
