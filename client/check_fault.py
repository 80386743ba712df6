"""What can be wrong with a delivery, and the verdict on a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """The kinds of counterexample."""

    LOST = "lost"
    """Acked and not stored, stored and not delivered, or an offset that is missing."""
    REPEATED = "repeated"
    """Delivered twice to the same caller, or stored twice for one id."""
    REORDERED = "reordered"
    LEAKED = "leaked"
    """Let in, delivered or stored for somebody who was no member then."""
    ALTERED = "altered"
    INVENTED = "invented"
    """Delivered and not stored, or stored and never posted."""
    RESET = "reset"
    """Not resumed, though neither retention nor a new epoch stood in the way."""
    UNANSWERED = "unanswered"
    """Neither acked nor refused in the end."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """One thing that must not happen, and did."""

    fault: Fault
    room: str
    offset: int | None
    user: str
    at: float
    """Unix seconds by the clock of whoever noticed."""
    what: str

    def __str__(self) -> str:
        where = self.room if self.offset is None else f"{self.room} at offset {self.offset}"
        return f"{self.fault}: {where}, {self.user}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`first` is None when the promise was kept."""

    first: Counterexample | None
    faults: int = 0
    """How many were found: at most one for each client in each room, and whatever is wrong with what is stored."""
    counted: Mapping[str, int] = field(default_factory=Counter)
    """How much there was to go by: a green verdict on little says little."""

    @property
    def kept(self) -> bool:
        """Whether there is no counterexample."""
        return self.first is None

    def __str__(self) -> str:
        if self.first is None:
            return "green: acked = stored = delivered to each member entitled to it, once, in order"
        return f"RED: {self.first}" + (f" (and {self.faults - 1} more)" if self.faults > 1 else "")
