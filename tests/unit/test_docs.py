"""The reference pages say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import FOLDER, pages


@pytest.mark.parametrize("name", pages())
def test_a_generated_page_is_current(name: str) -> None:
    """`make docs` would change nothing."""
    assert (FOLDER / name).read_text() == pages()[name], "run `make docs`"


def test_the_example_sets_nothing() -> None:
    """Whoever copies it unchanged has the defaults; a sentence that ran over its line would be a setting."""
    lines = (FOLDER.parent / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_every_release_has_its_commit() -> None:
    """What the changelog calls released can be had, and brought up to date from."""
    root = FOLDER.parent
    told = re.findall(r"^## (\d\S*)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    listed = re.findall(
        r"^\| (\S+) \| \S+ \| [0-9a-f]{40} \|", (root / "docs" / "releases.md").read_text(), re.MULTILINE
    )
    assert told == listed[::-1] != []


PAGES = sorted(
    path for path in FOLDER.rglob("*.md") if "PLAYBOOK=" in path.read_text() or "portcullis " in path.read_text()
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_names_playbooks_and_commands_that_there_are(path: Path) -> None:
    """After `PLAYBOOK=`, and after `portcullis` on a host, which takes make's targets."""
    text, root = path.read_text(), FOLDER.parent
    assert {*re.findall(r"PLAYBOOK=([a-z-]+)", text)} <= {one.stem for one in (root / "ansible").glob("*.yml")}
    targets = {*re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE)}
    assert {*re.findall(r"(?:sudo |^ {4}|`)portcullis ([a-z-]+)", text, re.MULTILINE)} <= targets
