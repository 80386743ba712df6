"""The promises that scenarios try, by the names of settings and series."""

from __future__ import annotations

from loadtest.limits import Limits, Rate
from loadtest.scenario import CapOf, Happens, RateOf
from loadtest.tally import series


def per_second(name: str, cost: float = 1.0) -> RateOf:
    """A limit of so many a second, of which each attempt takes `cost`."""

    def rate(limits: Limits) -> Rate:
        return Rate(limits[f"{name}_per_second"], limits[f"{name}_burst"], cost)

    return RateOf(name, rate)


def per_minute(name: str) -> RateOf:
    """A limit of so many a minute."""

    def rate(limits: Limits) -> Rate:
        return Rate(limits[f"{name}_per_minute"] / 60, limits.get(f"{name}_burst", limits[f"{name}_per_minute"]))

    return RateOf(name, rate)


def cap(name: str, *, honest_too: bool = False) -> CapOf:
    """A limit on what is held at the same time."""
    return CapOf(name, lambda limits: limits[name], honest_too)


def refused(reason: str) -> Happens:
    """Handshakes are refused for this reason."""
    return Happens(series("chat_handshakes_rejected_total", "reason", reason))


def throttled(limit: str) -> Happens:
    """Frames are refused by this limit."""
    return Happens(series("chat_messages_throttled_total", "limit", limit))


def closed(*codes: int) -> frozenset[str]:
    """The series of these close codes."""
    return frozenset(series("chat_closes_total", "code", code) for code in codes)
