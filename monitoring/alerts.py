"""The alerts, as the rule files have them. Needs PyYAML, which only development has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Alert:
    """One alerting rule. Two rules of one name differ in severity."""

    name: str
    severity: str
    part: str
    summary: str
    description: str
    runbook: str
    expression: str


def rules(folder: Path = FOLDER) -> Iterator[dict[str, Any]]:
    """Every rule of every file, as Prometheus would read it."""
    for path in sorted((folder / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts(folder: Path = FOLDER) -> list[Alert]:
    """The alerting rules. Raises KeyError for one that lacks a label or an annotation."""
    return [
        Alert(rule["alert"], rule["labels"]["severity"], rule["labels"]["part"], **rule["annotations"], expression=expr)
        for rule in rules(folder)
        if "alert" in rule and (expr := rule["expr"])
    ]


def recorded(folder: Path = FOLDER) -> set[str]:
    """The names that recording rules give."""
    return {rule["record"] for rule in rules(folder) if "record" in rule}
