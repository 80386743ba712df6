"""Seam: how stored events and control messages reach every process that serves the chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from app.model import Event, Revocation, RoomId, UserName

EventsReceived = Callable[[Sequence[Event]], None]
"""Called with one batch of events, of any rooms, in offset order within each room."""

RevocationReceived = Callable[[Revocation], None]

NoticeReceived = Callable[[RoomId, Sequence[UserName], Sequence[UserName]], None]
"""Called with the users that joined and that left a room."""

TypingReceived = Callable[[RoomId, Sequence[UserName]], None]
"""Called with the users that are writing in a room."""


class Broker(Protocol):
    """Delivery is at most once and may lag or drop: the store is the truth that gaps are repaired from."""

    def subscribe(
        self, events: EventsReceived, revocation: RevocationReceived, notice: NoticeReceived, typing: TypingReceived
    ) -> None:
        """Name the callbacks, once, before anything is published."""
        ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Send one batch to every process, this one included."""
        ...

    async def revoke(self, revocation: Revocation) -> None:
        """Have every process close the connections that match; within 1 s."""
        ...

    async def notify(self, room: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """Send ephemeral join and leave notices."""
        ...

    async def typing(self, room: RoomId, users: Sequence[UserName]) -> None:
        """Send who is writing: ephemeral, too."""
        ...
