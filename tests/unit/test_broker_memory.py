"""The broker of one process hands over everything, at once and unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from app.broker_memory import MemoryBroker
from app.model import DEFAULT_ROOM, Event, Offset, Revocation, RevocationKind, RoomId, UserName

ANN, BOB = UserName("ann"), UserName("bob")


class Heard:
    """What the callbacks were called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def events(self, events: Sequence[Event]) -> None:
        """A batch."""
        self.calls.append(("events", *events))

    def revocation(self, revocation: Revocation) -> None:
        """A control message."""
        self.calls.append(("revocation", revocation))

    def notice(self, room: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """Who came and went."""
        self.calls.append(("notice", room, *joined, "|", *left))

    def typing(self, room: RoomId, users: Sequence[UserName]) -> None:
        """Who is writing."""
        self.calls.append(("typing", room, *users))


async def test_everything_is_delivered_before_the_call_returns_in_order() -> None:
    """One callback call for each batch, control message and notice."""
    broker, heard = MemoryBroker(), Heard()
    broker.subscribe(heard.events, heard.revocation, heard.notice, heard.typing)
    events = [Event(DEFAULT_ROOM, Offset(number), ANN, "hi", 1.0) for number in (1, 2)]
    revocation = Revocation(RevocationKind.USER, "bob", "account_banned")
    await broker.publish(events)
    await broker.revoke(revocation)
    await broker.notify(DEFAULT_ROOM, [ANN], [BOB])
    await broker.typing(DEFAULT_ROOM, [BOB])
    assert heard.calls == [
        ("events", *events),
        ("revocation", revocation),
        ("notice", DEFAULT_ROOM, ANN, "|", BOB),
        ("typing", DEFAULT_ROOM, BOB),
    ]
