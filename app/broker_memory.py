"""The broker of one process: a function call."""

from __future__ import annotations

from collections.abc import Sequence

from app.broker import EventsReceived, NoticeReceived, RevocationReceived, TypingReceived
from app.model import Event, Revocation, RoomId, UserName


class MemoryBroker:
    """Implements `app.broker.Broker`; delivers before `publish` returns."""

    _events: EventsReceived
    _revocation: RevocationReceived
    _notice: NoticeReceived
    _typing: TypingReceived

    def subscribe(
        self, events: EventsReceived, revocation: RevocationReceived, notice: NoticeReceived, typing: TypingReceived
    ) -> None:
        """See `Broker.subscribe`."""
        self._events, self._revocation, self._notice, self._typing = events, revocation, notice, typing

    async def publish(self, events: Sequence[Event]) -> None:
        """See `Broker.publish`."""
        self._events(events)

    async def revoke(self, revocation: Revocation) -> None:
        """See `Broker.revoke`."""
        self._revocation(revocation)

    async def notify(self, room: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """See `Broker.notify`."""
        self._notice(room, joined, left)

    async def typing(self, room: RoomId, users: Sequence[UserName]) -> None:
        """See `Broker.typing`."""
        self._typing(room, users)
