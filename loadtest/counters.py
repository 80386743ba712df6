"""The server's counters, scraped directly: exact differences, never an extrapolation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from stack import exposition

EXPLAINED = (
    "chat_handshakes_total",
    "chat_handshakes_rejected_total",
    "chat_messages_total",
    "chat_messages_throttled_total",
    "chat_messages_invalid_total",
    "chat_closes_total",
    "chat_sign_ins_total",
    "edge_rejected_total",
)
"""Every increase of these must be one that clients saw, and the other way round."""


@dataclass(frozen=True)
class Scrape:
    """All series of one exposition at one monotonic time."""

    at: float
    samples: dict[str, float] = field(default_factory=dict)

    def value(self, series: str) -> float:
        """The series' value; 0 where it is not there yet."""
        return self.samples.get(series, 0.0)


def parse(text: str, at: float) -> Scrape:
    """The samples of an exposition (Prometheus text format 0.0.4), histogram buckets left out."""
    found: dict[str, float] = {}
    for family in exposition.families(text).values():
        for series, line in family.samples.items():
            if "_bucket{" not in series:
                found[series] = float(line.removeprefix(series).split()[0])
    return Scrape(at, found)


def increase(scrapes: Sequence[Scrape], series: str) -> float:
    """How far a counter came from the first scrape to the last. Where it fell it began anew, at 0."""
    total = 0.0
    for before, after in pairwise(scrapes):
        step = after.value(series) - before.value(series)
        total += step if step >= 0 else after.value(series)
    return total


def increases(scrapes: Sequence[Scrape], families: Iterable[str] = EXPLAINED) -> Counter[str]:
    """Every series of these families that increased."""
    wanted = set(families)
    names = {name for scrape in scrapes for name in scrape.samples if name.partition("{")[0] in wanted}
    return Counter({name: round(step) for name in names if (step := increase(scrapes, name)) > 0})


def resets(scrapes: Sequence[Scrape], families: Iterable[str] = EXPLAINED) -> int:
    """How often a counter fell, which means that its process began anew."""
    wanted = set(families)
    return sum(
        any(after.value(name) < value for name, value in before.samples.items() if name.partition("{")[0] in wanted)
        for before, after in pairwise(scrapes)
    )
