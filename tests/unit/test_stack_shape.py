"""Which kind of stack `make up` starts, and which names are settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import knobs, shape
from stack.place import Place
from stack.problem import Problem

ENGINE = {"there": True, "gone": False}


@pytest.mark.parametrize(
    ("holds", "asked", "engine", "found"),
    [
        ("", "", "there", "containers"),
        ("", "", "gone", "embedded"),
        ("", "embedded", "there", "embedded"),
        ("embedded", "", "there", "embedded"),
        ("containers", "", "there", "containers"),
        ("containers", "containers", "there", "containers"),
    ],
)
def test_decision(tmp_path: Path, holds: str, asked: str, engine: str, found: str) -> None:
    """What is asked for, else what the state holds, else what the machine can do."""
    if holds:
        (tmp_path / shape.MARK).write_text(holds + "\n")
    assert shape.decide(Place(tmp_path, tmp_path), asked, lambda: ENGINE[engine]) == found


@pytest.mark.parametrize(
    ("holds", "asked", "engine", "word"),
    [
        ("embedded", "containers", "there", "another PORTCULLIS_STATE"),
        ("containers", "embedded", "there", "another PORTCULLIS_STATE"),
        ("containers", "", "gone", "make engine"),
        ("", "containers", "gone", "make engine"),
        ("", "clusters", "there", "'clusters'"),
        ("", "cluster", "gone", "make engine"),
        ("containers", "cluster", "there", "another PORTCULLIS_STATE"),
    ],
)
def test_refusal(tmp_path: Path, holds: str, asked: str, engine: str, word: str) -> None:
    """Nobody's messages are left behind without a word."""
    if holds:
        (tmp_path / shape.MARK).write_text(holds + "\n")
    with pytest.raises(Problem, match=word):
        shape.decide(Place(tmp_path, tmp_path), asked, lambda: ENGINE[engine])


def test_a_state_without_a_mark_is_embedded(tmp_path: Path) -> None:
    """A stack of a release that knew one kind only stays what it is."""
    (tmp_path / "data").mkdir()
    assert shape.held(Place(tmp_path, tmp_path)) == "embedded"


def test_unknown_names() -> None:
    """A name that is no setting is named, with the one that it resembles."""
    known = {"PORTCULLIS_HTTP_PORT", "WORKERS"}
    assert knobs.unknown({"PORTCULLIS_HTTP_PORT"}, known) == []
    (sentence,) = knobs.unknown({"PORTCULLIS_HTTP_PORTS"}, known)
    assert "PORTCULLIS_HTTP_PORT meant" in sentence
