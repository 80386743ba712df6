"""What a client tells at once about itself, outside the stream of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is made; rooms are resumed from here on."""

    again: bool
    """There was one before."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no connection; the next attempt comes after `retry_in` seconds."""

    reason: str
    """The server's word for it, `unreachable`, `lost` without a word, or `garbled`."""
    retry_in: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A verb was throttled and will be sent again after `seconds`."""

    verb: str
    room: str | None
    code: str
    limit: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The connection goes on with a fresh credential until `expires_at` (Unix seconds)."""

    expires_at: float | None


Notice = Connected | Disconnected | Waiting | Refreshed
Notify = Callable[[Notice], None]
