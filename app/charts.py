"""What a panel shows over a window: which points in time, and what Prometheus's answers are at each of them. No I/O."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.prometheus import Track
from monitoring.panel import Panel, Query

SCRAPE_SECONDS: Final = 15
"""How often monitoring/prometheus.yml has Prometheus look."""
MOST_SERIES: Final = 50


@dataclass(frozen=True, slots=True)
class Window:
    """How far back a chart reaches, and how far its points are apart, in seconds."""

    seconds: int
    step: int

    @property
    def rate(self) -> str:
        """Over what a rate is taken: at least four scrapes, and so much that no increase falls between two points."""
        return f"{max(self.step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s"

    def times(self, now: float) -> range:
        """Unix seconds, the last of them at most one scrape ago, so that points stay where they are for a while."""
        end = int(now) - int(now) % SCRAPE_SECONDS
        return range(end - self.seconds, end + 1, self.step)


WINDOWS: Final = {"15m": Window(900, 15), "6h": Window(21_600, 120), "7d": Window(604_800, 3_600)}
"""By name; at most 200 points each."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line, with a value or None for each time."""

    label: str
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel over one window; `left_out` counts the series above MOST_SERIES."""

    times: range
    series: list[Series]
    left_out: int


def chart(panel: Panel, times: range, answers: Sequence[Sequence[Track]]) -> Chart:
    """The chart of a panel, from the answer to each of its queries."""
    found = [(query, track) for query, tracks in zip(panel.queries, answers, strict=True) for track in tracks]
    series = [Series(_label(panel, query, track), _values(track, times)) for query, track in found[:MOST_SERIES]]
    return Chart(times, series, len(found) - len(series))


def _label(panel: Panel, query: Query, track: Track) -> str:
    """What the query calls it; the panel's title where that is nothing."""
    named = re.sub(r"\{(\w+)\}", lambda match: track.metric.get(match[1], ""), query.legend)
    return named.strip() or panel.title


def _values(track: Track, times: range) -> list[float | None]:
    """A value for each time; none where there was none, or where it was no number."""
    known = {time: value for time, value in track.values if math.isfinite(value)}
    return [known.get(time) for time in times]
