"""What a scenario is: who attacks, who is honest beside them, which promise is tried, and what has to be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadtest.limits import Limits, Rate


@dataclass(frozen=True)
class RateOf:
    """A limit over time: what one key may do, from the limits that the server promises."""

    limit: str
    rate: Callable[[Limits], Rate]


@dataclass(frozen=True)
class CapOf:
    """A limit on what one key may hold at the same time."""

    limit: str
    most: Callable[[Limits], float]
    honest_too: bool = False
    """Whether honest users hold a part of it."""


@dataclass(frozen=True)
class Happens:
    """This series must have increased, or the attack did not reach what it was for."""

    series: str


@dataclass(frozen=True)
class Never:
    """No attacker may have seen this."""

    series: str


@dataclass(frozen=True)
class Equal:
    """Two of the attackers' own facts must be the same number, and not 0."""

    fact: str
    other: str


@dataclass(frozen=True)
class Within:
    """None of the measured waits of this kind may be longer; there must be some."""

    kind: str
    seconds: float


Expectation = Happens | Never | Equal | Within


@dataclass(frozen=True)
class Scenario:
    """One attack beside honest users. `attack` names the attackers' class; none: everybody is honest."""

    name: str
    proves: str
    attack: str = ""
    attackers: int = 0
    honest: int = 12
    seconds: float = 15.0
    calm: float = 5.0
    """Seconds before the attack, which the honest users' latency is measured against."""
    accounts: int = 0
    """Accounts of the attackers, handed round when there are fewer of them than attackers."""
    addresses: int = 0
    """Addresses that the attackers come from together; 0: each from one of its own."""
    promise: RateOf | CapOf | None = None
    expectations: tuple[Expectation, ...] = ()
    one_number: tuple[frozenset[str], ...] = ()
    """Series of which clients can only know the sum, such as how their own dead connections were closed."""
    memory_mib: float = 64.0
    """How much more memory each of the app's workers may take during the attack than before it."""
    rest: float = 0.0
    """Seconds between two runs, where both have the same addresses, whose limits have to be whole again."""
    short: bool = True
    """Whether the short suite runs it."""
    restart: bool = False
    """Whether the app is restarted during the attack, and everybody is like the attackers: no counter outlives that."""
    usual: bool = True
    """Whether it makes sense at the default limits; if not, neither suite runs it."""
