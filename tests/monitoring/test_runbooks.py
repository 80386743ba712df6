"""Each alert has one short page that says what to do, with commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.settings import BARE, PREFIX, Settings
from monitoring.alerts import alerts
from stack.knobs import KNOBS
from stack.place import CLONE
from tests.monitoring import series

FOLDER = CLONE / "docs" / "operate" / "alerts"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
HEADINGS = ["What people notice", "What it means", "What to look at", "What to do", "When it is over"]
LONGEST = 40


def test_each_alert_has_one_page_and_no_page_is_left_over() -> None:
    """By name."""
    assert [path.stem for path in PAGES] == sorted({alert.name for alert in alerts()})


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_answers_five_questions(path: Path) -> None:
    """In this order, on one screen."""
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_names_what_there_is(path: Path) -> None:
    """Its commands are targets of the Makefile, its links lead to pages, its settings and metrics exist."""
    text = path.read_text()
    targets = re.findall(r"^([a-z-]+):", (CLONE / "Makefile").read_text(), re.MULTILINE)
    assert {*re.findall(r"\bmake (?:-s )?([a-z-]+)", text)} <= {*targets}
    assert all((FOLDER / link).is_file() for link in re.findall(r"\]\(([^)]+)\)", text))
    settings = {name.upper() if name.upper() in BARE else PREFIX + name.upper() for name in Settings.model_fields}
    assert {*re.findall(r"`([A-Z][A-Z_]{3,})`", text)} <= settings | {one.name for one in KNOBS}
    assert {*re.findall(r"\bchat_\w+", text)} <= {*series.of_app()}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_a_page_greps_for_is_there(path: Path) -> None:
    """Each pattern finds a metric of the app or the edge."""
    known = "\n".join({*series.of_app(), *series.of_edge(), *series.of_stack(), "mtail_prog_load_errors_total"})
    for words in re.findall(r"metrics \| grep (.+)$", path.read_text(), re.MULTILINE):
        assert all(pattern in known for pattern in words.replace("-e ", "").split()), words
