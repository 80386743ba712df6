"""The distribution's archive as this machine knows it: which versions it offers, and the suite to borrow from."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

BORROWED = "trixie"
"""Debian 13 has compose and buildx as Debian 12 does not; the images are made from it as well."""
SOURCES = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCE = """\
# Made by `make engine`: the container engine's plugins, which this release of Debian lacks.
Types: deb
URIs: {uri}
Suites: {suite}
Components: main
Signed-By: {keyring}
"""
PIN = """\
# Nothing comes from this suite unless it is asked for by name.
Package: *
Pin: release n={suite}
Pin-Priority: 100
"""
ONE_LINE = re.compile(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)")


def candidate(package: str) -> tuple[int, ...]:
    """The version apt would install, its leading numbers; empty when the archive has no such package."""
    done = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    match = re.search(r"Candidate: (?:\d+:)?(\d+(?:\.\d+)*)", done.stdout)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def sources(folder: Path = SOURCES) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every source of this machine: its URI, suites and components (sources.list(5), both notations)."""
    for path in sorted([*folder.glob("sources.list"), *folder.glob("sources.list.d/*")]):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
        if path.suffix == ".sources":
            yield from _stanzas(text)
        else:
            yield from ((uri, [suite], rest.split()) for uri, suite, rest in ONE_LINE.findall(text))


def _stanzas(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(\S+):\s*(.*)$", stanza, re.MULTILINE))
        for uri in fields.get("URIs", "").split():
            yield uri, fields.get("Suites", "").split(), fields.get("Components", "").split()


def main_uri(release: str, folder: Path = SOURCES) -> str | None:
    """Where this machine has `release` itself from: the same place has the other suites."""
    for uri, suites, components in sources(folder):
        if release in suites and "main" in components and uri.startswith("http"):
            return uri
    return None


def borrow(uri: str) -> dict[Path, str]:
    """The files that make the other suite known to apt at a priority at which it replaces nothing."""
    source = SOURCE.format(uri=uri, suite=BORROWED, keyring=KEYRING)
    return {
        SOURCES / "sources.list.d" / "portcullis-engine.sources": source,
        SOURCES / "preferences.d" / "portcullis-engine": PIN.format(suite=BORROWED),
    }
