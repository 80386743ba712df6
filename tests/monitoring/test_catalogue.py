"""The catalogue is complete in itself, asks only for series that there are, and Grafana's dashboard is made from it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.alerts import FOLDER
from monitoring.catalogue import GROUPS, PANELS
from monitoring.panel import WINDOW, Panel
from stack.place import CLONE
from tests.monitoring import series
from tests.tools import tool

DASHBOARD = FOLDER / "grafana" / "portcullis.json"
COLUMNS = 24


@pytest.mark.parametrize("name", ["panel", "catalogue"])
def test_it_needs_the_standard_library_only(name: str) -> None:
    """The app, Grafana's generator and the docs read it, each in an environment of its own."""
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module == "monitoring.panel" or str(node.module).partition(".")[0] in sys.stdlib_module_names


def test_a_name_is_one_panel() -> None:
    """Names are how panels are asked for, so they fit into a URL."""
    panels = [panel for group in GROUPS for panel in group.panels]
    assert len(PANELS) == len(panels)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in PANELS)
    assert len({panel.title for group in GROUPS for panel in group.panels if panel.kind != "stat"}) == sum(
        panel.kind != "stat" for panel in panels
    )


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_a_panel_says_what_it_tells(panel: Panel) -> None:
    """In a sentence, and a rate or quantile leaves its window open."""
    assert panel.tells.endswith(".")
    for query in panel.queries:
        assert ("rate(" in query.text) == (f"[{WINDOW}]" in query.text)
        assert WINDOW not in query.over("1m")
        assert {*re.findall(r"\{(\w+)\}", query.legend)} <= {
            *re.findall(r"\w+", query.text),
            "instance",
            "mountpoint",
            "slo",
        }


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_a_panel_asks_for_label_values_that_there_are(panel: Panel) -> None:
    """A misspelt reason would be an empty picture."""
    known = series.labels_of_app()
    for query in panel.queries:
        for metric, label, value in series.chosen(query.text):
            if metric.startswith("chat_"):
                assert value in known[metric, label]


def test_the_dashboard_is_current(tmp_path: Path) -> None:
    """`make docs` would change nothing."""
    words: list[str | Path] = [tool("grafana") / "python", "-m", "monitoring.dashboard", tmp_path / "made.json"]
    subprocess.run(words, cwd=CLONE, check=True)
    assert (tmp_path / "made.json").read_text() == DASHBOARD.read_text(), "run `make docs`"


def drawn() -> list[dict[str, Any]]:
    """The dashboard's panels, headings apart."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def test_the_dashboard_asks_what_the_catalogue_says() -> None:
    """Each query, in this order, and no other; Grafana chooses the window."""
    asked = [target["expr"] for panel in drawn() for target in panel["targets"]]
    assert asked == [query.over("$__rate_interval") for panel in PANELS.values() for query in panel.queries]


def test_no_panel_covers_another() -> None:
    """And none stands out at the right."""
    taken: set[tuple[int, int]] = set()
    for panel in drawn():
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= COLUMNS
        taken |= cells


def test_grafana_is_told_of_prometheus_as_it_scrapes() -> None:
    """Rates over too short a window would be empty."""
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/portcullis.yml").read_text())["datasources"][0]
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
