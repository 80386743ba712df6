"""Who gets what: events, notices, revocations and expiry."""

from __future__ import annotations

import pytest

from app.connection import Connection
from app.hub import Hub
from app.limiter import Rate
from app.live_room import LiveRoom
from app.metrics import Metrics
from app.model import (
    DEFAULT_ROOM,
    Entry,
    Event,
    EventKind,
    Offset,
    Revocation,
    RevocationKind,
    RoomId,
    RoomState,
    SessionId,
    UserName,
)
from app.protocol import Profile
from app.roles import Role
from tests.unit.live import connection

STATE = RoomState(DEFAULT_ROOM, Offset(0), "e")
ENTRY = Entry(STATE, Role.MEMBER)


class Told:
    """What the hub said about its rooms."""

    def __init__(self) -> None:
        self.removed: list[Connection] = []
        self.lost: list[LiveRoom] = []


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def hub(told: Told) -> Hub:
    hub = Hub(Metrics(), Rate(50.0, 50))
    hub.removed = lambda gone, _room: told.removed.append(gone)
    hub.lost = told.lost.append
    hub.open(STATE)
    return hub


def _event(offset: int, room: RoomId = DEFAULT_ROOM) -> Event:
    return Event(room, Offset(offset), UserName("ann"), f"m{offset}", 1.0)


def test_members_get_events_in_their_profile(hub: Hub) -> None:
    """Each member once, nobody else, and rooms without members here are passed over."""
    (one, one_wire), (two, two_wire), (_, out_wire) = (
        connection(),
        connection("bob", Profile.TUTORIAL),
        connection("eve"),
    )
    room = hub.rooms[DEFAULT_ROOM]
    assert room.join(one, ENTRY) and room.join(two, ENTRY)
    hub.deliver([_event(1), _event(2), _event(9, RoomId("elsewhere"))])
    assert [frame["offset"] for frame in one_wire.take()] == [1, 2]
    assert [frame["message"] for frame in two_wire.take()] == ["m1", "m2"]
    assert out_wire.take() == []
    assert room.offset == 2 and len(room) == 2


def test_first_and_last_connection_of_a_user(hub: Hub) -> None:
    """Only those are worth a notice."""
    (one, _), (two, _), room = connection(), connection(), hub.rooms[DEFAULT_ROOM]
    assert room.join(one, ENTRY) and not room.join(two, ENTRY)
    assert not hub.leave(one, room) and hub.leave(two, room)
    assert not room.users and not one.rooms
    assert not hub.rooms, "a room that nobody is in is forgotten"


def _member(offset: int, change: str, user: str, **facts: object) -> Event:
    return Event(
        DEFAULT_ROOM,
        Offset(offset),
        UserName("ann"),
        "",
        1.0,
        EventKind.MEMBER,
        {"change": change, "user": user, **facts},
    )


@pytest.mark.parametrize("change", ["kicked", "banned", "left", "declined"])
def test_whoever_is_removed_gets_the_removal_and_nothing_after_it(hub: Hub, told: Told, change: str) -> None:
    """On all connections, within one batch; everybody else goes on, and the user's list of rooms is told."""
    (one, one_wire), (two, two_wire), (other, other_wire) = connection("bob"), connection("bob"), connection("eve")
    room = hub.rooms[DEFAULT_ROOM]
    for live in (one, two, other):
        hub.add(live)
        room.join(live, ENTRY)
    hub.deliver([_event(1), _member(2, change, "bob"), _event(3)])
    for wire in (one_wire, two_wire):
        frames = wire.take()
        assert [frame.get("offset") for frame in frames] == [1, 2, None]
        assert frames[2] == {"type": "membership", "room": "lobby", "change": change, "sender": "ann"}
    assert [frame["offset"] for frame in other_wire.take()] == [1, 2, 3]
    assert set(told.removed) == {one, two} and not one.rooms
    assert (room.access, set(room.users)) == (1, {"eve"})


def test_events_that_are_missing_are_asked_for_and_none_is_delivered_twice(hub: Hub, told: Told) -> None:
    """A gap is delivered to nobody before it is filled; what came before is not sent again."""
    live, wire = connection()
    room = hub.rooms[DEFAULT_ROOM]
    room.join(live, ENTRY)
    hub.deliver([_event(1)])
    hub.deliver([_event(3)])
    hub.deliver([_event(2), _event(4)])
    assert told.lost == [room, room]
    hub.deliver([_event(1), _event(2)])
    hub.deliver([_event(2)])
    hub.deliver([_event(2), _event(3), _event(4)])
    assert [frame["offset"] for frame in wire.take()] == [1, 2, 3, 4]


def test_what_was_delivered_last_is_kept_for_those_who_come_right_back(hub: Hub) -> None:
    """Up to a bound, and only while it is what the store would say: an edit or a deletion empties it."""
    room = hub.rooms[DEFAULT_ROOM]
    hub.deliver([_event(offset) for offset in range(1, 101)])
    kept = room.since(90)
    assert kept is not None and [event.offset for event in kept] == list(range(91, 101))
    assert (room.since(100), room.since(3)) == ([], None)
    deleted = Event(DEFAULT_ROOM, Offset(101), UserName("ann"), "", 1.0, EventKind.DELETED, {"target": 95})
    hub.deliver([deleted])
    assert (room.since(99), room.since(100)) == (None, [deleted])


def test_changes_of_the_room_apply_at_once(hub: Hub) -> None:
    """Roles, mutes, rates, slow mode and the archive: what the next post is judged by."""
    live, _ = connection("bob")
    room = hub.rooms[DEFAULT_ROOM]
    room.join(live, ENTRY)
    hub.deliver([_member(1, "role", "bob", role="moderator"), _member(2, "muted", "bob", until=9.0)])
    assert (room.users[UserName("bob")].role, room.users[UserName("bob")].muted_until) == (Role.MODERATOR, 9.0)
    hub.deliver([_member(3, "muted", "bob")])
    assert room.users[UserName("bob")].muted_until == float("inf")
    hub.deliver([_member(4, "unmuted", "bob"), _member(5, "muted", "nobody-here")])
    assert room.users[UserName("bob")].muted_until == 0.0

    def changed(offset: int, change: str, **facts: object) -> Event:
        said = {"change": change, **facts}
        return Event(DEFAULT_ROOM, Offset(offset), UserName("ann"), "", 1.0, EventKind.ROOM, said)

    bob = UserName("bob")
    hub.deliver([changed(6, "configured", posts_per_second=2.0), changed(7, "configured", slow_seconds=10.0)])
    assert (room.rate, room.slow(bob)) == (Rate(2.0, 2.0), None), "slow mode is not for moderators"
    hub.deliver([_member(8, "role", "bob", role="member")])
    assert room.slow(bob) == Rate(0.1, 1)
    hub.deliver([changed(9, "configured", posts_per_second=0), changed(10, "archived")])
    assert (room.rate, room.slow(bob), room.archived) == (Rate(50.0, 50), Rate(0.1, 1), True)
    hub.deliver([changed(11, "configured", slow_seconds=0), changed(12, "unarchived"), changed(13, "renamed")])
    assert (room.slow(bob), room.archived, room.access) == (None, False, 13)


def test_who_made_a_room_learns_it_on_all_connections(hub: Hub) -> None:
    """Those that speak the tutorial's profile would not understand."""
    (one, one_wire), (two, two_wire) = connection("ann"), connection("ann", Profile.TUTORIAL)
    hub.add(one)
    hub.add(two)
    room = RoomId("mine-1")
    hub.deliver([Event(room, Offset(1), UserName("ann"), "", 1.0, EventKind.ROOM, {"change": "created"})])
    assert one_wire.take() == [{"type": "membership", "room": room, "change": "created", "sender": "ann"}]
    assert two_wire.take() == []


def test_typing_is_for_those_who_can_see_it(hub: Hub) -> None:
    """Ephemeral, in chat.v1 only."""
    (one, one_wire), (two, two_wire) = connection(), connection("bob", Profile.TUTORIAL)
    for live in (one, two):
        hub.rooms[DEFAULT_ROOM].join(live, ENTRY)
    hub.typing(DEFAULT_ROOM, [UserName("eve")])
    assert one_wire.take() == [{"type": "typing", "room": "lobby", "users": ["eve"]}]
    assert two_wire.take() == []


def test_notices_reach_members(hub: Hub) -> None:
    """As presence or as System, and an unknown room is nobody's."""
    (one, one_wire), (two, two_wire) = connection(), connection("bob", Profile.TUTORIAL)
    for live in (one, two):
        hub.rooms[DEFAULT_ROOM].join(live, ENTRY)
    hub.notify(DEFAULT_ROOM, [UserName("eve")], [])
    hub.notify(RoomId("elsewhere"), [UserName("eve")], [])
    assert one_wire.take() == [{"type": "presence", "room": "lobby", "joined": ["eve"], "left": []}]
    assert [frame["sender"] for frame in two_wire.take()] == ["System"]
    hub.leave(two, hub.rooms[DEFAULT_ROOM])
    hub.notify(DEFAULT_ROOM, [], [UserName("eve")])
    assert two_wire.take() == []


@pytest.mark.parametrize(
    ("kind", "value", "reason", "code"),
    [
        (RevocationKind.TOKEN, "t1", "revoked", 4501),
        (RevocationKind.SESSION, "s1", "revoked", 4501),
        (RevocationKind.USER, "ann", "account_disabled", 4502),
        (RevocationKind.USER, "ann", "account_banned", 4503),
        (RevocationKind.ADDRESS, "192.0.2.1", "ip_banned", 4504),
        (RevocationKind.USER, "ann", "flood", 4500),
    ],
)
def test_revocations_close_what_matches(hub: Hub, kind: RevocationKind, value: str, reason: str, code: int) -> None:
    """And leave everything else alone."""
    live, wire = connection()
    hub.add(live)
    hub.revoke(Revocation(kind, value + "x", reason))
    assert wire.closed == []
    hub.revoke(Revocation(kind, value, reason))
    assert wire.closed == [(code, reason)]
    hub.remove(live)
    assert not hub.connections


def test_expiry(hub: Hub) -> None:
    """Announced once, in chat.v1 only; closed at the very second."""
    (soon, soon_wire), (quiet, quiet_wire) = (
        connection(expires_at=100.0),
        connection("bob", Profile.TUTORIAL, expires_at=100.0),
    )
    (later, later_wire) = connection("eve", expires_at=1000.0, session=None)
    for live in (soon, quiet, later):
        hub.add(live)
    for now in (39.0, 41.0, 42.0):
        hub.expire(now, 60.0)
    assert soon_wire.take() == [{"type": "expiring", "expires_at": 100.0}]
    assert quiet_wire.take() == [] and not soon_wire.closed
    hub.expire(100.0, 60.0)
    assert soon_wire.closed == quiet_wire.closed == [(4001, "credential_expired")]
    assert later_wire.closed == [] and later_wire.take() == []
    assert hub.sessions() == {SessionId("s1")}
    soon_wire.stuck = 7
    assert hub.waiting() == 7
