"""What a panel is: a picture, a sentence that says what it tells, and the queries behind it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["count", "per_second", "seconds", "bytes", "bytes_per_second", "share"]
Kind = Literal["stat", "lines", "stacked"]
"""One number, a line for each series, or series on top of each other where their sum means something."""
WINDOW = "$window"
"""Stands in a query for the time over which a rate is taken: at least four scrapes."""


@dataclass(frozen=True)
class Query:
    """PromQL, and what a series is called: `{label}` stands for its value."""

    text: str
    legend: str = ""

    def over(self, window: str) -> str:
        """The text with this window, such as `1m`."""
        return self.text.replace(WINDOW, window)


@dataclass(frozen=True)
class Levels:
    """From where a value deserves a look, and from where it is bad. Where `bad` is below `warn`, less is worse."""

    warn: float
    bad: float


@dataclass(frozen=True)
class Panel:
    """One picture. Its name is how it is asked for, and stays."""

    name: str
    title: str
    tells: str
    kind: Kind
    unit: Unit
    queries: tuple[Query, ...]
    levels: Levels | None = None


@dataclass(frozen=True)
class Group:
    """Panels that are looked at together."""

    title: str
    panels: tuple[Panel, ...]


def stat(name: str, title: str, tells: str, text: str, unit: Unit = "count", levels: Levels | None = None) -> Panel:
    """One number."""
    return Panel(name, title, tells, "stat", unit, (Query(text),), levels)


def lines(
    name: str, title: str, tells: str, query: Query, unit: Unit = "per_second", levels: Levels | None = None
) -> Panel:
    """A line for each series of one query."""
    return Panel(name, title, tells, "lines", unit, (query,), levels)


def stacked(name: str, title: str, tells: str, query: Query, unit: Unit = "per_second") -> Panel:
    """Series whose sum means something, on top of each other."""
    return Panel(name, title, tells, "stacked", unit, (query,))


def quantiles(name: str, title: str, tells: str, metric: str, levels: Levels | None = None) -> Panel:
    """The median, which most people feel, and the 99th percentile, which the unlucky do."""
    rate = f"sum by (le) (rate({metric}_bucket[{WINDOW}]))"
    queries = tuple(Query(f"histogram_quantile({part}, {rate})", f"p{round(part * 100)}") for part in (0.5, 0.99))
    return Panel(name, title, tells, "lines", "seconds", queries, levels)


def slowest(name: str, title: str, tells: str, metric: str, label: str, levels: Levels) -> Panel:
    """The 99th percentile for each value of a label."""
    text = f"histogram_quantile(0.99, sum by (le, {label}) (rate({metric}_bucket[{WINDOW}])))"
    return lines(name, title, tells, Query(text, f"{{{label}}}"), "seconds", levels)


def rate(metric: str, label: str = "", *, quiet: bool = False) -> Query:
    """The rate of a counter, for each value of a label where one is named; a `quiet` one shows only what happens."""
    by = f" by ({label}) " if label else ""
    return Query(f"sum{by}(rate({metric}[{WINDOW}]))" + (" > 0" if quiet else ""), f"{{{label}}}" if label else "")
