"""Each alert reaches the receiver that its severity names, and one that says nothing new reaches nobody."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from monitoring.alerts import FOLDER, Alert, alerts
from tests.monitoring import parts, programs
from tests.patience import PATIENCE, until

CONFIG = FOLDER / "alertmanager.yml"
ALERTS = {f"{alert.name}-{alert.severity}": alert for alert in alerts()}
PARTS = ("app", "edge", "node", "postgres", "prometheus", "stack", "valkey")
"""Jobs: what PartDown can be about."""


def receiver(*labels: str) -> str:
    """Whom Alertmanager's own router chooses."""
    done = programs.run("amtool", "config", "routes", "test", f"--config.file={CONFIG}", *labels)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_alertmanager_accepts_the_configuration() -> None:
    """Routes, inhibitions and receivers."""
    done = programs.run("amtool", "check-config", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_the_severity_decides(alert: Alert) -> None:
    """Whatever part it is about."""
    assert receiver(f"alertname={alert.name}", f"severity={alert.severity}", f"part={alert.part}") == alert.severity


def test_an_alert_without_severity_is_not_lost() -> None:
    """It pages."""
    assert receiver("alertname=Else") == "page"


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's own, with the committed configuration."""
    with parts.alertmanager(tmp_path_factory.mktemp("alertmanager"), CONFIG) as address:
        yield address


LAST = [{"alertname": "Last", "severity": "ticket", "part": "last"}]
LAST += [{"alertname": "PartDown", "severity": "page", "part": "last"}]
"""Alertmanager learns its sources in order: once the last one silences, all have been heard."""


def fire(address: str, *fired: dict[str, str]) -> set[str]:
    """Which of these alerts are inhibited, as `name-severity`. They end afterwards."""
    url = f"http://{address}/api/v2/alerts"
    send(url, [{"labels": one} for one in (*fired, *LAST)])
    until(lambda: "Last-ticket" in inhibited(url), "all are heard")
    found = inhibited(url)
    send(url, [{"labels": one, "endsAt": "2020-01-01T00:00:00Z"} for one in (*fired, *LAST)])
    until(lambda: not json.loads(programs.get(url)), "all are over")
    return found - {"Last-ticket"}


def inhibited(url: str) -> set[str]:
    """As Alertmanager's API says."""
    known = json.loads(programs.get(url))
    return {
        f"{one['labels']['alertname']}-{one['labels']['severity']}" for one in known if one["status"]["inhibitedBy"]
    }


def send(url: str, body: object) -> None:
    """As Prometheus does."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    urllib.request.urlopen(request, timeout=PATIENCE).close()  # noqa: S310 - of 127.0.0.1


def labels(name: str, severity: str, **more: str) -> dict[str, str]:
    """What Prometheus would send for this alert."""
    return {"alertname": name, "severity": severity, "part": ALERTS[f"{name}-{severity}"].part, **more}


def everything_but(*names: str) -> list[dict[str, str]]:
    """One of each alert, with others' names."""
    return [labels(one.name, one.severity) for one in ALERTS.values() if one.name not in (*names, "PartDown")]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_down_silences_its_symptoms(alertmanager: str, part: str) -> None:
    """All of its own, and nobody else's."""
    tickets = [one for one in everything_but() if one["severity"] == "ticket"]
    found = fire(alertmanager, labels("PartDown", "page") | {"part": part}, *tickets)
    assert found == {f"{one['alertname']}-ticket" for one in tickets if one["part"] == part}


def test_a_store_that_is_down_silences_what_follows(alertmanager: str) -> None:
    """Of the store and of the app everything; not what is wrong elsewhere."""
    others = everything_but("DatabaseDown", "Degraded", "ValkeyDown")
    found = fire(alertmanager, labels("DatabaseDown", "page"), *others)
    assert {f"{one['alertname']}-{one['severity']}" for one in others if one["part"] in ("app", "store")} <= found
    assert not {name for name in found if ALERTS[name].part in ("edge", "shared", "watch")}


def test_valkey_that_is_down_silences_what_follows(alertmanager: str) -> None:
    """It explains degraded mode and refused handshakes, and not a slow store."""
    names = [("Degraded", "page"), ("HandshakesRefused", "page"), ("LimiterSlow", "ticket"), ("StoreSlow", "ticket")]
    found = fire(alertmanager, labels("ValkeyDown", "page"), *(labels(*name) for name in names))
    assert found == {"Degraded-page", "HandshakesRefused-page", "LimiterSlow-ticket"}


def test_a_page_silences_the_ticket_about_the_same(alertmanager: str) -> None:
    """And not the one about another disk."""
    full, filling = labels("DiskFilling", "page", mountpoint="/"), labels("DiskFilling", "ticket", mountpoint="/")
    assert fire(alertmanager, full, filling) == {"DiskFilling-ticket"}
    assert fire(alertmanager, full, filling | {"mountpoint": "/var"}) == set()
