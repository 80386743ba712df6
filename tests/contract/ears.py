"""What a broker's callbacks were called with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from app.broker import Broker
from app.broker_redis import Heard
from app.model import Event, Revocation, RoomId, UserName

AnyBroker = TypeVar("AnyBroker", bound=Broker)


class Ears:
    """Listens to one broker."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.events: list[Event] = []
        self.resyncs = 0
        self.lags: list[float] = []
        self.failed: list[str] = []
        self.degraded: list[bool] = []

    def on(self, broker: AnyBroker) -> AnyBroker:
        """Subscribe to it."""
        broker.subscribe(self.batch, self.revocation, self.notice, self.typing)
        return broker

    def heard(self) -> Heard:
        """How it goes, for a broker on Redis."""
        return Heard(self.resync, self.lags.append, self.failed.append, self.degraded.append)

    def resync(self) -> None:
        """Something may have been missed."""
        self.resyncs += 1

    def batch(self, events: Sequence[Event]) -> None:
        """A batch."""
        self.calls.append(("events", *events))
        self.events += events

    def revocation(self, revocation: Revocation) -> None:
        """A control message."""
        self.calls.append(("revocation", revocation))

    def notice(self, room: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """Who came and went."""
        self.calls.append(("notice", room, *joined, "|", *left))

    def typing(self, room: RoomId, users: Sequence[UserName]) -> None:
        """Who is writing."""
        self.calls.append(("typing", room, *users))
