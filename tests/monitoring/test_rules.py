"""The rules are valid, each alert is tried both ways and has a runbook, and asks only for series that there are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.alerts import FOLDER, Alert, alerts, recorded, rules
from tests.monitoring import series
from tests.monitoring.programs import run

ALERTS = alerts()
RULES = sorted((FOLDER / "rules").glob("*.yml"))
RECORDS = [rule for rule in rules() if "record" in rule]
CASES = sorted((FOLDER / "tests").glob("*.yml"))
RECORDED_BY_REASON = ("chat_handshakes_rejected", "edge_rejected")


def test_prometheus_accepts_the_configuration() -> None:
    """And every rule file that it names."""
    done = run("promtool", "check", "config", FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rule files found" in done.stdout


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_a_rule_file_is_valid(path: Path) -> None:
    """promtool's own lint finds nothing: no duplicate either."""
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_stay_silent(path: Path) -> None:
    """With exactly these labels and words, in each case of the file."""
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_has_both_cases(alert: Alert) -> None:
    """One in which it fires with its severity, one in which nothing of its name fires."""
    found = list(expected(alert.name))
    assert any(alert.severity in severities for severities in found), "there is no case in which it fires"
    assert set() in found, "there is no case in which it is silent"


@cache
def cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a file."""
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text())["tests"]
    return found


def expected(name: str) -> Iterator[set[str]]:
    """The severities that each case of an alert expects."""
    for path in CASES:
        for case in cases(path):
            for one in case["alert_rule_test"]:
                if one["alertname"] == name:
                    yield {fired["exp_labels"]["severity"] for fired in one["exp_alerts"]}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_is_about_its_alert(path: Path) -> None:
    """Silence is worth something only where there are series that the alert asks for."""
    for case in cases(path):
        given = {one["series"].partition("{")[0] for one in case["input_series"]}
        for one in case["alert_rule_test"]:
            asked = {name for alert in ALERTS if alert.name == one["alertname"] for name in raw(alert.expression)}
            assert given & asked, case["name"]


def raw(expression: str) -> set[str]:
    """The metrics behind an expression, those behind recorded ones too."""
    found = series.named(expression)
    behind = [raw(rule["expr"]) for rule in RECORDS if rule["record"] in found]
    return found.union(*behind)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_says_what_to_do(alert: Alert) -> None:
    """Its runbook is a page of this repository that is called like it."""
    assert alert.severity in ("page", "ticket")
    assert alert.runbook == f"docs/operate/alerts/{alert.name}.md"
    assert (FOLDER.parent / alert.runbook).is_file()


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_label_value_exists(rule: dict[str, Any]) -> None:
    """A misspelt reason would be silent for ever."""
    known = series.labels_of_app() | {(name, "reason"): of for name, of in series.of_edge().items()}
    known |= {(f"reason:{name}:rate5m", "reason"): known[f"{name}_total", "reason"] for name in RECORDED_BY_REASON}
    for metric, label, value in series.chosen(rule["expr"]):
        if metric.startswith(("chat_", "edge_", "reason:")):
            assert any(re.fullmatch(value, one) for one in known[metric, label]), f"{metric}: {label} is never {value}"


BROKEN = {
    "a bracket too many": ("[5m])) > 0.1", "[5m])) > 0.1)"),
    "too high a threshold": ("chat_slow_consumers_total[10m])) > 0.1", "chat_slow_consumers_total[10m])) > 9"),
    "too low a threshold": ("chat_slow_consumers_total[10m])) > 0.1", "chat_slow_consumers_total[10m])) >= 0"),
    "too patient": ("for: 10m", "for: 1d"),
    "another part": ("part: edge", "part: app"),
    "other words": ("Posting is slow", "Posting was slow"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_rule_is_found(tmp_path: Path, fault: str) -> None:
    """By promtool, with the cases that are there of the rule, and by nothing but what is broken."""
    copied = spoilt(tmp_path, *BROKEN[fault])
    broken, whole = (folder / "rules" / "clients.yml" for folder in (copied, FOLDER))
    names = touched(broken, whole)
    of_rule = copied / "tests" / "clients.yml"
    kept = [case for case in cases(of_rule) if names & {one["alertname"] for one in case["alert_rule_test"]}]
    assert kept
    of_rule.write_text(yaml.safe_dump(yaml.safe_load(of_rule.read_text()) | {"tests": kept}))
    assert run("promtool", "test", "rules", of_rule).returncode == 1
    shutil.copy(whole, broken)
    assert run("promtool", "test", "rules", of_rule).returncode == 0


def touched(one: Path, other: Path) -> set[str]:
    """The alerts that are another in the one file than in the other."""
    left, right = (
        [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
        for path in (one, other)
    )
    return {rule["alert"] for rule in left if rule not in right}


def test_a_metric_that_is_not_there_is_found(tmp_path: Path) -> None:
    """One that nobody exports."""
    name = "chat_slow_readers_total"
    exported = {*series.of_app(), *series.of_edge(), *recorded()}
    assert series.unknown(spoilt(tmp_path, "chat_slow_consumers_total", name), exported) >= {name}


def spoilt(folder: Path, what: str, becomes: str) -> Path:
    """A copy of the rules and cases in which one thing is different."""
    for name in ("rules", "tests"):
        shutil.copytree(FOLDER / name, folder / name)
    path = folder / "rules" / "clients.yml"
    text = path.read_text()
    assert what in text
    path.write_text(text.replace(what, becomes))
    return folder
