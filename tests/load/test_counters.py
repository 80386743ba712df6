"""Differences of counters are exact, also over a restart."""

from __future__ import annotations

from loadtest import counters
from loadtest.counters import Scrape

TEXT = """\
# HELP chat_closes_total Connections closed.
# TYPE chat_closes_total counter
chat_closes_total{code="1000"} 3.0
chat_closes_total{code="4500"} 1.0
# HELP chat_ack_seconds From received to durably stored.
# TYPE chat_ack_seconds histogram
chat_ack_seconds_bucket{le="0.1"} 2.0
chat_ack_seconds_sum 0.05
chat_connections 7.0
"""
SERIES = 'chat_closes_total{code="1000"}'


def at(value: float | None) -> Scrape:
    """A scrape in which the series has this value, or is missing."""
    return Scrape(0.0, {} if value is None else {SERIES: value})


def test_an_exposition_is_read() -> None:
    """Every sample but the buckets."""
    found = counters.parse(TEXT, 5.0)
    assert found.at == 5.0
    assert found.samples == {
        SERIES: 3.0,
        'chat_closes_total{code="4500"}': 1.0,
        "chat_ack_seconds_sum": 0.05,
        "chat_connections": 7.0,
    }
    assert found.value("chat_never_total") == 0.0


def test_an_increase_is_the_difference() -> None:
    """A series that was not there yet began at 0."""
    assert counters.increase([at(3), at(10)], SERIES) == 7
    assert counters.increase([at(None), at(4)], SERIES) == 4
    assert counters.increase([at(4)], SERIES) == 0


def test_a_counter_that_fell_began_anew() -> None:
    """What it counted since then is added, and the reset is told."""
    seen = [at(3), at(10), at(2), at(5)]
    assert counters.increase(seen, SERIES) == 7 + 2 + 3
    assert counters.resets(seen) == 1
    assert counters.resets([at(3), at(None), at(1)]) == 1


def test_only_what_has_to_be_explained_is_compared() -> None:
    """Gauges and histograms are not; what did not move is not."""
    first, last = counters.parse(TEXT, 0.0), counters.parse(TEXT.replace("3.0", "5.0").replace("7.0", "9.0"), 1.0)
    assert counters.increases([first, last]) == {SERIES: 2}
