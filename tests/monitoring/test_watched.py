"""A real Prometheus, with the committed configuration, reads every part."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest

from monitoring import alerts
from monitoring.catalogue import PANELS
from monitoring.panel import Panel
from stack import edge_config, unix_http
from stack.place import CLONE, Place
from tests.monitoring import parts, series
from tests.monitoring.watch import EXPORTERS, Prometheus
from tests.patience import until

OF_PROMETHEUS = {"up"}
OF_MTAIL = {"mtail_prog_load_errors_total"}
"""There only once a program does not compile, as a test below sees."""


def test_every_part_answers(watched: Prometheus) -> None:
    """Each job of the configuration has a target, and each target is up."""
    found = {one["metric"]["job"]: one["value"][1] for one in watched.ask("up")}
    assert found == dict.fromkeys(
        ("app", "edge", "stack", "node", "postgres", "valkey", "prometheus", "alertmanager"), "1"
    )


def test_every_rule_can_be_evaluated(watched: Prometheus) -> None:
    """None has an error."""
    rules = [rule for group in watched.api("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == sum(1 for _ in alerts.rules())
    assert {(rule["name"], rule["lastError"]) for rule in rules if "lastError" in rule} == set()


def test_every_metric_exists(watched: Prometheus) -> None:
    """The app's and the edge's by their code, the others by what the distribution's programs really export."""
    there = {*series.of_app(), *series.of_edge(), *series.of_stack(), *alerts.recorded(), *OF_PROMETHEUS, *OF_MTAIL}
    for job in (*EXPORTERS, "prometheus", "alertmanager"):
        there |= watched.names(job)
    assert series.unknown(alerts.FOLDER, there) == set()


def test_a_program_that_does_not_compile_is_seen(tmp_path: Path) -> None:
    """mtail goes on without it, and says so in the metric that EdgeUncounted asks for."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "edge.mtail").write_text("counter edge_requests_total by\n")
    place = Place(CLONE, tmp_path / "state")
    with parts.mtail(place, "", tmp_path / "programs"):
        said = unix_http.get(edge_config.mtail_socket(place), "/metrics")[1]
    assert 'mtail_prog_load_errors_total{prog="edge.mtail"} 1' in said


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_every_panel_has_data(watched: Prometheus, panel: Panel) -> None:
    """After a little talk each of its queries returns a number."""
    for query in panel.queries:
        # Long enough for the talk to be in it, however long ago other tests have let it be.
        text = query.over("1h")
        until(partial(numbers, watched, text), f"{text} returns a number")


def numbers(watched: Prometheus, query: str) -> list[float]:
    """The values that are numbers."""
    found = [float(one["value"][1]) for one in watched.ask(query)]
    return [value for value in found if not math.isnan(value)]
