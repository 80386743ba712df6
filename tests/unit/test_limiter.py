"""GCRA: never more than burst + rate x T in any T seconds, and an honest retry_after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limiter import Gcra, Rate, gcra

RATES = st.builds(Rate, st.floats(0.05, 1000.0), st.integers(1, 200).map(float))
STEPS = st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.1, 3.0)), min_size=1, max_size=80)
SLACK = 1e-6
"""Relative; floats of monotonic clocks carry about 1e-9 s."""


def passed(rate: Rate, start: float, steps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (time, cost) of every hit that fitted."""
    bucket, now, fitted = Gcra(rate), start, []
    for gap, cost in steps:
        now += gap
        if bucket.hit(now, cost) == 0.0:
            fitted.append((now, cost))
    return fitted


@given(RATES, st.floats(0.0, 1e6), STEPS)
def test_no_window_holds_more_than_burst_and_rate(rate: Rate, start: float, steps: list[tuple[float, float]]) -> None:
    """Every window that begins and ends with a hit, whatever the gaps and costs."""
    fitted = passed(rate, start, steps)
    for first, (began, _) in enumerate(fitted):
        total = 0.0
        for now, cost in fitted[first:]:
            total += cost
            assert total <= (rate.burst + rate.per_second * (now - began)) * (1 + SLACK) + SLACK


@given(RATES, st.floats(0.0, 1e6), STEPS, st.floats(0.1, 1.0))
def test_who_waits_as_told_passes_and_who_does_not_is_refused(
    rate: Rate, start: float, steps: list[tuple[float, float]], cost: float
) -> None:
    """retry_after is neither too short nor, by more than a rounding, too long."""
    bucket, now = Gcra(rate), start
    for gap, earlier in steps:
        now += gap
        bucket.hit(now, earlier)
    while bucket.hit(now, cost) == 0.0:
        pass
    wait = bucket.hit(now, cost)
    assert wait > 0.0
    if wait > 1e-3:
        assert bucket.hit(now + wait * 0.99, cost) > 0.0
    assert bucket.hit(now + wait * (1 + 1e-9) + 1e-8, cost) == 0.0


@given(RATES, st.floats(0.0, 1e6), STEPS)
def test_a_refusal_charges_nothing(rate: Rate, start: float, steps: list[tuple[float, float]]) -> None:
    """Asking again and again while throttled never moves the end of the wait."""
    bucket, now = Gcra(rate), start
    for gap, cost in steps:
        now += gap
        wait = bucket.hit(now, cost)
        if wait > 0.0:
            assert bucket.hit(now, cost) == wait


def test_the_whole_burst_fits_at_once_and_one_more_does_not() -> None:
    """The tutorial's five messages, then one a second."""
    bucket = Gcra(Rate(1.0, 5.0))
    assert [bucket.hit(1000.0) for _ in range(6)] == [0.0] * 5 + [1.0]
    assert bucket.hit(1000.5) == 0.5
    assert bucket.hit(1001.0) == 0.0
    assert bucket.hit(1001.0) == 1.0


def test_more_than_the_burst_in_one_piece_never_fits() -> None:
    """However long the bucket was idle; the wait says by how much it is too large."""
    bucket = Gcra(Rate(2.0, 4.0))
    assert bucket.hit(1e6, 4.5) == 0.25
    assert bucket.hit(2e6, 4.5) == 0.25
    assert bucket.hit(2e6, 4.0) == 0.0


def test_a_slower_rates_debt_is_not_waited_for() -> None:
    """Whoever sets a rate of one in a hundred seconds and takes it back has to wait for the new rate alone."""
    arrival, _ = gcra(0.0, 1000.0, Rate(0.01, 1), 1.0)
    _, wait = gcra(arrival, 1000.0, Rate(50.0, 50), 1.0)
    assert wait == pytest.approx(0.02)


@given(st.floats(0.05, 1000.0), st.integers(1, 200), st.floats(0.0, 1e8))
def test_a_full_burst_always_fits(per_second: float, burst: int, now: float) -> None:
    """Whatever sums of floats are off by: the last one of a burst is not refused for a billionth of a second."""
    bucket = Gcra(Rate(per_second, burst))
    assert all(bucket.hit(now) == 0.0 for _ in range(burst))
