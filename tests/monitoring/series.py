"""Which series there are: from the code for the app and the edge, and which ones an expression asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric

from app.backends import _metrics
from app.metrics import Metrics
from monitoring.alerts import rules
from stack.facts import FACTS

ROOT = Path(__file__).resolve().parents[2]
PARTS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MATCHERS = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=|=~|!=|!~)\s*"([^"]*)"')
_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


def named(expression: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    bare = re.sub(r"\[[^\]]*\]", "", re.sub(r"\{[^}]*\}", "", _CLAUSE.sub("", _STRING.sub("", expression))))
    return {name for name in _NAME.findall(bare) if name.lower() not in _WORDS}


def chosen(expression: str) -> Iterator[tuple[str, str, str]]:
    """Metric, label and value of each matcher; the alternatives of a pattern one by one."""
    for metric, matchers in _MATCHERS.findall(expression):
        for label, pattern in _MATCHER.findall(matchers):
            yield from ((metric, label, value) for value in pattern.split("|"))


def unknown(folder: Path, there: set[str]) -> set[str]:
    """What the rules of a folder name and what is not there."""
    return {name for rule in rules(folder) for name in named(rule["expr"])} - there


def of_app() -> dict[str, Metric]:
    """Each series that the app's code counts, by name. A metric that nothing counts is none."""
    sources = "\n".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    found: dict[str, Metric] = {}
    metrics = Metrics()
    for attribute, metric in vars(metrics).items():
        if attribute != "registry" and re.search(rf"metrics\.{attribute}\b", sources):
            for family in metric.collect():
                found |= {family.name + part: family for part in PARTS[family.type]}
    return found


def of_edge() -> dict[str, set[str]]:
    """Each counter of the program that counts the edge's log, with the values of its label."""
    program = (ROOT / "nginx" / "mtail" / "edge.mtail").read_text()
    values = dict(re.findall(r"\(\?P<(\w+)>([\w|]+)\)", program))
    return {
        name: set(values[label].split("|")) if label in values else set(map(str, range(1, 6)))
        for name, label in re.findall(r"^counter (\w+) by (\w+)$", program, re.MULTILINE)
    }


def of_stack() -> set[str]:
    """What the host states."""
    return set(FACTS)


def labels_of_app() -> dict[tuple[str, str], set[str]]:
    """The values of each label that start at 0 in the app, by series and label."""
    found: dict[tuple[str, str], set[str]] = {}
    for family in _metrics(together=True).registry.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault((sample.name, label), set()).add(value)
    return found
