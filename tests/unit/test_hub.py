"""Who gets what: events, notices, revocations and expiry."""

from __future__ import annotations

import pytest

from app.hub import Hub, LiveRoom
from app.metrics import Metrics
from app.model import (
    DEFAULT_ROOM,
    Event,
    Offset,
    Revocation,
    RevocationKind,
    RoomId,
    RoomState,
    SessionId,
    UserName,
)
from app.protocol import Profile
from tests.unit.live import connection


@pytest.fixture
def hub() -> Hub:
    hub = Hub(Metrics())
    hub.rooms[DEFAULT_ROOM] = LiveRoom(RoomState(DEFAULT_ROOM, Offset(0), "e"))
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
    assert hub.join(one, room) and hub.join(two, room)
    hub.deliver([_event(1), _event(2), _event(9, RoomId("elsewhere"))])
    assert [frame["offset"] for frame in one_wire.take()] == [1, 2]
    assert [frame["message"] for frame in two_wire.take()] == ["m1", "m2"]
    assert out_wire.take() == []
    assert room.offset == 2 and len(room) == 2


def test_first_and_last_connection_of_a_user(hub: Hub) -> None:
    """Only those are worth a notice."""
    (one, _), (two, _), room = connection(), connection(), hub.rooms[DEFAULT_ROOM]
    assert hub.join(one, room) and not hub.join(two, room)
    assert not hub.leave(one, room) and hub.leave(two, room)
    assert not room.users and not one.rooms


def test_notices_reach_members(hub: Hub) -> None:
    """As presence or as System, and an unknown room is nobody's."""
    (one, one_wire), (two, two_wire) = connection(), connection("bob", Profile.TUTORIAL)
    for live in (one, two):
        hub.join(live, hub.rooms[DEFAULT_ROOM])
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
