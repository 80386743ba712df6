"""Leases of one process: each cap is exact, and everything taken comes back."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model import DEFAULT_ROOM, Address, ConnectionId, RoomId, UserName
from app.presence import Caps, Entered
from app.presence_memory import MemoryPresence
from app.verdict import Reason

ANN, BOB, CARL = UserName("ann"), UserName("bob"), UserName("carl")
HERE, THERE = Address("192.0.2.1"), Address("192.0.2.2")
CAPS = Caps(per_user=2, per_address=3, per_node=4, per_room=2)


def connection(number: int) -> ConnectionId:
    """A connection's id."""
    return ConnectionId(f"c{number}")


@pytest.fixture
def presence() -> MemoryPresence:
    """Small caps."""
    return MemoryPresence(CAPS)


async def test_each_cap_refuses_by_its_own_reason(presence: MemoryPresence) -> None:
    """`fits` says what `acquire` will; a refusal takes nothing."""
    taken = [(ANN, HERE, None), (ANN, HERE, None), (ANN, THERE, Reason.USER_CONNECTIONS), (BOB, HERE, None)]
    taken += [(CARL, HERE, Reason.IP_CONNECTIONS), (CARL, THERE, None), (CARL, THERE, Reason.NODE_FULL)]
    for number, (user, address, reason) in enumerate(taken):
        assert await presence.fits(user, address) is reason
        assert await presence.acquire(connection(number), user, address) is reason


async def test_what_is_released_can_be_taken_again_and_only_once(presence: MemoryPresence) -> None:
    """Releasing twice, or what never was, gives nothing away."""
    for number in (1, 2):
        assert await presence.acquire(connection(number), ANN, HERE) is None
    await presence.release(connection(9))
    await presence.release(connection(1))
    await presence.release(connection(1))
    assert await presence.acquire(connection(3), ANN, HERE) is None
    assert await presence.acquire(connection(4), ANN, HERE) is Reason.USER_CONNECTIONS


async def test_renewing_keeps_the_leases(presence: MemoryPresence) -> None:
    """In one process they live as long as it does."""
    assert await presence.acquire(connection(1), ANN, HERE) is None
    await presence.renew([connection(1)])
    assert await presence.acquire(connection(2), ANN, HERE) is None
    assert await presence.fits(ANN, THERE) is Reason.USER_CONNECTIONS


async def test_a_room_is_full_for_newcomers_only(presence: MemoryPresence) -> None:
    """A member enters again freely; leaving twice, or a room never entered, is harmless; rooms count by themselves."""
    one, two, three = (connection(number) for number in (1, 2, 3))
    assert await presence.enter(DEFAULT_ROOM, one)
    assert await presence.enter(DEFAULT_ROOM, two)
    assert await presence.enter(DEFAULT_ROOM, two)
    assert not await presence.enter(DEFAULT_ROOM, three)
    assert await presence.enter(RoomId("other"), three)
    await presence.leave(DEFAULT_ROOM, one)
    await presence.leave(DEFAULT_ROOM, one)
    await presence.leave(RoomId("nowhere"), one)
    assert await presence.enter(DEFAULT_ROOM, three)
    assert not await presence.enter(DEFAULT_ROOM, one)


async def test_releasing_a_connection_leaves_its_rooms(presence: MemoryPresence) -> None:
    """All of them, and nobody else leaves."""
    rooms = [DEFAULT_ROOM, RoomId("other")]
    for number in (1, 2):
        assert await presence.acquire(connection(number), ANN, HERE) is None
        assert [await presence.enter(room, connection(number)) for room in rooms] == [Entered.NEW, Entered.NEW]
    await presence.release(connection(1))
    for room in rooms:
        assert await presence.enter(room, connection(3))
        assert not await presence.enter(room, connection(4))


STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12), st.sampled_from([ANN, BOB, CARL]), st.sampled_from([HERE, THERE]))
)


@given(STEPS)
async def test_caps_hold_after_any_history(steps: list[tuple[bool, int, UserName, Address]]) -> None:
    """Against a plain count of who is there; a connection's id is never given out twice while it lives."""
    presence, there = MemoryPresence(CAPS), dict[int, tuple[UserName, Address]]()
    for takes, number, user, address in steps:
        if not takes:
            await presence.release(connection(number))
            there.pop(number, None)
        elif number not in there:
            reason = await presence.acquire(connection(number), user, address)
            users, addresses = Counter(u for u, _ in there.values()), Counter(a for _, a in there.values())
            full = users[user] >= 2 or addresses[address] >= 3 or len(there) >= 4
            assert (reason is not None) == full
            if reason is None:
                there[number] = (user, address)
