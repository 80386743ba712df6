"""What an event makes of a live room: who stays in it, and who does not."""

from __future__ import annotations

import pytest

from app.hub import Hub
from app.limiter import Rate
from app.live_room import LiveRoom, in_runs
from app.metrics import Metrics
from app.model import DEFAULT_ROOM, Entry, Event, EventKind, Offset, RoomState, UserName
from app.roles import Role
from tests.unit.live import connection

STATE = RoomState(DEFAULT_ROOM, Offset(0), "e")


def event(offset: int, kind: EventKind = EventKind.MESSAGE, **facts: object) -> Event:
    return Event(DEFAULT_ROOM, Offset(offset), UserName("ann"), "", 1.0, kind, facts or None)


@pytest.fixture
def room() -> LiveRoom:
    return LiveRoom(STATE, Rate(50.0, 50))


def test_a_room_that_turns_private_keeps_its_members_only(room: LiveRoom) -> None:
    """Administrators who never joined are out of it; one who joined meanwhile stays."""
    for name, joined in (("mel", True), ("root", False), ("ada", False)):
        room.join(connection(name)[0], Entry(STATE, Role.OWNER, joined=joined))
    room.apply([event(1, EventKind.MEMBER, change="joined", user="ada", role="member")])
    private = event(2, EventKind.ROOM, change="configured", public=False)
    assert room.removed_by(private) == ["root"]
    assert room.removed_by(event(2, EventKind.ROOM, change="configured", public=True)) == []
    assert room.removed_by(event(2, EventKind.ROOM, change="configured", slow_seconds=1.0)) == []
    assert room.removed_by(event(2, EventKind.MEMBER, change="muted", user="mel")) == []
    assert room.removed_by(event(2)) == []


def test_whoever_was_let_down_is_told_where_the_event_does_not(room: LiveRoom) -> None:
    """The event names nobody, so an error of its own says that the room is over; nothing above it comes."""
    hub = Hub(Metrics(), Rate(50.0, 50))
    hub.removed = lambda *_: None
    live, (admin, wire) = hub.open(STATE), connection("root")
    live.join(admin, Entry(STATE, Role.OWNER, joined=False))
    hub.deliver([event(1, EventKind.ROOM, change="configured", public=False), event(2)])
    configured, removed = wire.take()
    assert (configured["change"], removed["code"], removed["room"]) == ("configured", "removed", "lobby")
    assert "id" not in removed


def test_runs_end_with_each_removal() -> None:
    """What follows one is not for those whom it removes."""
    kick = event(2, EventKind.MEMBER, change="kicked", user="bob")
    private = event(3, EventKind.ROOM, change="configured", public=False)
    assert in_runs([event(1), kick, private, event(4)]) == [[event(1), kick], [private], [event(4)]]
    assert in_runs([kick]) == [[kick]]


def test_each_connection_counts_once(room: LiveRoom) -> None:
    """A user is here until the last of their connections has left."""
    one, two = connection("bob")[0], connection("bob")[0]
    assert [room.join(live, Entry(STATE, Role.MEMBER)) for live in (one, two)] == [True, False]
    assert len(room) == 2 and set(room.of(UserName("bob"))) == {one, two}
    assert [room.leave(live) for live in (two, one)] == [False, True]
    assert not room.users


def test_what_was_heard_of_starts_with_what_the_store_said() -> None:
    """A room that opens has heard of everything up to its offset."""
    opened = LiveRoom(RoomState(DEFAULT_ROOM, Offset(7), "e"), Rate(50.0, 50))
    assert (opened.offset, opened.heard) == (7, 7)
