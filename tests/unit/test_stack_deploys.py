"""stack/deploys.py: who changed what runs, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stack import deploys
from stack.place import Place
from stack.problem import Problem


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A release in a folder named after it."""
    return Place(tmp_path / "0123456789abcdef", tmp_path / "state")


def _lines(place: Place) -> list[dict[str, Any]]:
    path = place.state / deploys.NAME
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_change_has_a_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who, which release, and that it was done."""
    monkeypatch.setenv("SUDO_USER", "alice")
    with deploys.noted(place, "up"):
        place.state.mkdir()
        place.record.write_text("another")
    (line,) = _lines(place)
    assert (line["command"], line["release"], line["by"], line["outcome"]) == (
        "up",
        "0123456789abcdef",
        "alice",
        "done",
    )


def test_what_changed_nothing_has_none(place: Place) -> None:
    """As a second `make up`."""
    with deploys.noted(place, "up"):
        pass
    assert _lines(place) == []


def test_a_failure_has_a_line_whatever_it_changed(place: Place) -> None:
    """With the first line of why; and it fails all the same. One that found nothing to change leaves nothing behind."""
    with pytest.raises(Problem), deploys.noted(place, "up"):
        raise Problem("No.")
    assert not place.state.exists()
    place.state.mkdir()
    place.record.write_text("one")
    with pytest.raises(Problem), deploys.noted(place, "up"):
        raise Problem("It did not get well.\nsecret words of a container")
    (line,) = _lines(place)
    assert line["outcome"] == "failed: It did not get well."
