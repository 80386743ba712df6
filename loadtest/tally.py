"""What clients count, in the names of the server's own series, and what they measure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ACCEPTED = 'chat_handshakes_total{verdict="accepted"}'
REFUSED = 'chat_handshakes_total{verdict="refused"}'


def series(name: str, label: str, value: object) -> str:
    """A counter as the exposition writes it."""
    return f'{name}{{{label}="{value}"}}'


@dataclass
class Window:
    """What happened at one limited key (a user, an address, a connection). Times are monotonic seconds."""

    accepted: int = 0
    refused: int = 0
    first_sent: float = math.inf
    first_answered: float = math.inf
    last_answered: float = -math.inf
    last_refused: float = -math.inf
    """When the last of those was sent that were refused: by then nothing was left."""
    spent: int = 0
    """How many were accepted up to then."""
    open: int = 0
    peak: int = 0

    def note(self, sent: float, answered: float, *, accepted: bool) -> None:
        """One attempt and its answer."""
        self.first_sent = min(self.first_sent, sent)
        self.first_answered = min(self.first_answered, answered)
        self.last_answered = max(self.last_answered, answered)
        self.accepted += accepted
        self.refused += not accepted
        if accepted:
            # Asked before a refusal that was heard of sooner.
            self.spent += sent < self.last_refused
        elif sent > self.last_refused:
            self.last_refused, self.spent = sent, self.accepted

    def hold(self, change: int) -> None:
        """One more or one fewer is held at the same time."""
        self.open += change
        self.peak = max(self.peak, self.open)

    @property
    def longest(self) -> float:
        """Seconds: the server took its first and its last decision at most so far apart."""
        return self.last_answered - self.first_sent if self.accepted + self.refused else 0.0

    @property
    def shortest(self) -> float:
        """Seconds: the server's first decision and its last refusal were at least so far apart.

        After that refusal something may have been left that nobody asked for.
        """
        return max(0.0, self.last_refused - self.first_answered) if self.refused else 0.0


@dataclass
class Tally:
    """One process of clients. `seen` counts series; `trouble` what no counter explains."""

    seen: Counter[str] = field(default_factory=Counter)
    windows: dict[str, Window] = field(default_factory=dict)
    delays: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By kind (handshake, ack, delivery): the monotonic time and the seconds that it took."""
    trouble: Counter[str] = field(default_factory=Counter)
    facts: Counter[str] = field(default_factory=Counter)
    """What a scenario counts for itself."""

    def window(self, key: str) -> Window:
        """The key's own window."""
        return self.windows.setdefault(key, Window())

    def delay(self, kind: str, now: float, seconds: float) -> None:
        """One measured wait."""
        self.delays.setdefault(kind, []).append((now, seconds))

    def dump(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return {
            "seen": dict(self.seen),
            "windows": {key: vars(window) for key, window in self.windows.items() if window.accepted or window.refused},
            "delays": self.delays,
            "trouble": dict(self.trouble),
            "facts": dict(self.facts),
        }


def loaded(found: Mapping[str, Any]) -> Tally:
    """What `dump` gave."""
    return Tally(
        seen=Counter(found["seen"]),
        windows={key: Window(**window) for key, window in found["windows"].items()},
        delays={kind: [(at, took) for at, took in pairs] for kind, pairs in found["delays"].items()},
        trouble=Counter(found["trouble"]),
        facts=Counter(found["facts"]),
    )


def together(tallies: Iterable[Tally]) -> Tally:
    """The sum of several processes' tallies; a limited key belongs to one process alone."""
    whole = Tally()
    for one in tallies:
        whole.seen += one.seen
        whole.trouble += one.trouble
        whole.facts += one.facts
        whole.windows.update(one.windows)
        for kind, pairs in one.delays.items():
            whole.delays.setdefault(kind, []).extend(pairs)
    return whole


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed (nearest rank); NaN when there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
