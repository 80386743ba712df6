"""What the server promises to let pass. From its documented defaults and the operator's settings, never asked of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DEFAULTS: Mapping[str, float] = {
    "handshakes_per_address_per_minute": 30.0,
    "handshakes_per_address_burst": 10.0,
    "connections_per_address": 20.0,
    "connections_per_user": 5.0,
    "connections_per_node": 10000.0,
    "connections_per_room": 5000.0,
    "rooms_per_user": 64.0,
    "frame_bytes": 16384.0,
    "message_characters": 500.0,
    "posts_per_user_per_second": 1.0,
    "posts_per_user_burst": 5.0,
    "frames_per_connection_per_second": 10.0,
    "frames_per_connection_burst": 20.0,
    "posts_per_room_per_second": 50.0,
    "posts_per_room_burst": 50.0,
    "changes_per_user_per_second": 2.0,
    "changes_per_user_burst": 20.0,
    "reads_per_user_per_second": 10.0,
    "reads_per_user_burst": 150.0,
    "bytes_per_user_per_second": 16384.0,
    "bytes_per_user_burst": 65536.0,
    "malformed_per_minute": 10.0,
    "sign_ins_per_account_and_address_per_minute": 5.0,
    "sign_ins_per_address_per_minute": 20.0,
}
PREFIX = "PORTCULLIS_"
_CLOCKS = 1e-4
"""Seconds by which the clocks of server and clients may drift apart within a run."""


@dataclass(frozen=True)
class Rate:
    """At most burst + per_second x T in any T seconds; `cost` is what one attempt takes of it."""

    per_second: float
    burst: float
    cost: float = 1.0

    def passes(self, seconds: float) -> int:
        """How many attempts fit into so many seconds, the first and the last included."""
        return math.floor((self.burst + self.per_second * max(0.0, seconds)) / self.cost)

    def most(self, longest: float) -> int:
        """No more may pass where the server's first and last decision were at most so far apart."""
        return self.passes(longest + _CLOCKS)

    def least(self, shortest: float) -> int:
        """So many have to have passed where they were at least so far apart, and the last one is a refusal."""
        return self.passes(shortest - _CLOCKS)


Limits = Mapping[str, float]


def chosen(settings: Mapping[str, str], words: Iterable[str] = ()) -> dict[str, float]:
    """The defaults, changed by the operator's settings and then by `name=value` words.

    Raises ValueError with a sentence for a name that is no limit and a value that is no number.
    """
    found = dict(DEFAULTS)
    for name in DEFAULTS:
        if text := settings.get(PREFIX + name.upper()):
            found[name] = _number(name, text)
    for word in words:
        name, _, text = word.partition("=")
        if name not in DEFAULTS:
            raise ValueError(f"{name} is none of the limits that a scenario proves: {', '.join(DEFAULTS)}.")
        found[name] = _number(name, text)
    return found


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, and is {text!r}.") from None
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0, and is {text!r}.")
    return value
