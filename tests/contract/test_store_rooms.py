"""Rooms: made once for each id, entered in one look, listed as each user sees them, read up to a mark."""

from __future__ import annotations

import math
import time

import pytest

from app.model import DEFAULT_ROOM, Entry, EventKind, Member, RoomId, RoomState, Stored, UserName
from app.roles import Action, Role
from app.store import Store
from app.verdict import Denied, ErrorCode
from tests.contract.house import (
    ADMIN,
    ANN,
    BANNED,
    BOB,
    INVITED,
    MEMBER,
    MODERATOR,
    NEWCOMER,
    NOWHERE,
    OTHER_MEMBER,
    OUTSIDER,
    OWNER,
    PEOPLE,
    ROOM,
    SECOND_OWNER,
    change,
    does,
    everything,
    furnish,
    passes,
    post,
    role_of,
    state_of,
)


async def shown(store: Store, user: UserName, public: bool = False) -> list[tuple[str, Role, int, int]]:
    """A user's list of rooms: (room, role, members, unread)."""
    rows = await store.listings(user, public)
    return [(row.entry.state.room, row.entry.role, row.members, row.unread) for row in rows]


async def test_a_new_room_has_an_owner_and_its_first_event(store: Store) -> None:
    """The event says how it was made; nobody else has anything to do with it."""
    made = await store.create_room(ROOM, "Den", False, ANN, None, 64)
    assert isinstance(made, Stored)
    assert (made.event.offset, made.event.kind, made.event.sender) == (1, EventKind.ROOM, ANN)
    assert made.event.facts == {"change": "created", "title": "Den", "public": False}
    assert await everything(store, ROOM) == [made.event]
    epoch = (await state_of(store)).epoch
    state = RoomState(ROOM, made.event.offset, epoch, access=1, title="Den", public=False)
    assert await store.entry(ROOM, ANN) == Entry(state, Role.OWNER)
    assert await store.entry(ROOM, BOB) == Entry(state, Role.STRANGER, joined=False)
    assert await store.entry(NOWHERE, ANN) is None


async def test_a_room_is_made_once_for_each_client_id(store: Store) -> None:
    """Sent again, with another name drawn for it: answered with the first one."""
    await store.create_room(ROOM, "Den", False, ANN, "a", 64)
    again = await store.create_room(NOWHERE, "Den", False, ANN, "a", 64)
    assert isinstance(again, Stored)
    assert again.repeated
    assert (again.event.room, again.event.offset, again.event.sender) == (ROOM, 1, ANN)
    assert await store.room(NOWHERE) is None
    others = await store.create_room(NOWHERE, "Den", False, BOB, "a", 64)
    assert isinstance(others, Stored)
    assert not others.repeated


async def test_the_name_of_a_room_is_taken_once(store: Store) -> None:
    """Who asks draws another one; nothing of the room changes, not even for its own owner."""
    await store.create_room(ROOM, "Den", False, ANN, None, 64)
    for name in (ROOM, DEFAULT_ROOM):
        assert await store.create_room(name, "Mine", True, ANN, None, 64) == Denied(ErrorCode.UNCHANGED)
    assert (await state_of(store)).title == "Den"


async def test_rooms_made_count_as_joined(store: Store) -> None:
    """Making one is joining one."""
    await store.create_room(ROOM, "Den", False, ANN, None, 1)
    denied = await store.create_room(NOWHERE, "More", False, ANN, None, 1)
    assert denied == Denied(ErrorCode.TOO_MANY_ROOMS, limit="rooms_per_user")
    assert await store.room(NOWHERE) is None


async def test_everyone_enters_the_default_room_as_a_member(store: Store) -> None:
    """Without a row of their own."""
    entry = await store.entry(DEFAULT_ROOM, ANN)
    assert entry is not None
    assert (entry.role, entry.state.title, entry.state.public, entry.state.everyone) == (
        Role.MEMBER,
        "Lobby",
        True,
        True,
    )


async def test_who_joined_is_told_from_who_only_counts_as_somebody(store: Store) -> None:
    """What everybody is in the default room, or an administrator in a public one, nobody has given them."""
    await furnish(store, public=True)
    asked = [(ROOM, ADMIN), (ROOM, INVITED), (ROOM, MEMBER), (DEFAULT_ROOM, MEMBER)]
    entries = [await store.entry(room, user) for room, user in asked]
    assert [(entry.role, entry.joined) for entry in entries if entry is not None] == [
        (Role.OWNER, False),
        (Role.INVITED, False),
        (Role.MEMBER, True),
        (Role.MEMBER, False),
    ]


async def test_members_are_listed_by_role_and_name(store: Store) -> None:
    """With whoever is invited, banned or muted; who left is not there any more."""
    await furnish(store)
    until = time.time() + 100
    await passes(
        store,
        [
            change(OWNER, Action.MUTE, user=OUTSIDER),
            change(OWNER, Action.MUTE, user=OTHER_MEMBER, until=until),
            change(OWNER, Action.MUTE, user=NEWCOMER, until=time.time() - 1),
            change(MEMBER, Action.LEAVE),
        ],
    )
    assert await store.members(ROOM) == [
        Member(OWNER, Role.OWNER),
        Member(SECOND_OWNER, Role.OWNER),
        Member(MODERATOR, Role.MODERATOR),
        Member(OTHER_MEMBER, Role.MEMBER, until),
        Member(INVITED, Role.INVITED),
        Member(OUTSIDER, Role.STRANGER, math.inf),
        Member(BANNED, Role.BANNED, 0.0, math.inf),
    ]
    assert await store.members(NOWHERE) == []
    assert await store.members(DEFAULT_ROOM) == []


async def test_a_list_of_rooms_shows_what_is_the_users_own(store: Store) -> None:
    """The default room first, then by title; invitations say nothing of what is in the room; what was left is gone."""
    await furnish(store)
    await store.create_room(RoomId("attic"), "Attic", True, MEMBER, None, 64)
    everyone = len(PEOPLE) + 1
    lobby = (DEFAULT_ROOM, Role.MEMBER, everyone, 0)
    await passes(store, [post("x", None, OWNER, ROOM)])
    assert await shown(store, MEMBER) == [lobby, ("attic", Role.OWNER, 1, 0), (ROOM, Role.MEMBER, 5, 1)]
    assert await shown(store, INVITED) == [lobby, (ROOM, Role.INVITED, 5, 0)]
    assert await shown(store, OUTSIDER) == await shown(store, BANNED) == [lobby]
    await does(store, change(MEMBER, Action.LEAVE))
    assert await shown(store, MEMBER) == [lobby, ("attic", Role.OWNER, 1, 0)]
    assert await shown(store, OWNER) == [lobby, (ROOM, Role.OWNER, 4, 0)]
    await does(store, change(ADMIN, Action.BAN, DEFAULT_ROOM, user=MEMBER))
    assert await shown(store, MEMBER) == [("attic", Role.OWNER, 1, 0)]


async def test_public_rooms_that_can_be_joined_are_listed_by_title(store: Store) -> None:
    """Neither private nor archived ones, nor the user's own, nor those that ban them; at most 200."""
    await furnish(store, public=True)
    await store.create_room(RoomId("attic"), "Attic", True, OWNER, None, 64)
    await store.create_room(RoomId("vault"), "Vault", False, OWNER, None, 64)
    await store.create_room(RoomId("grave"), "Grave", True, OWNER, None, 64)
    await does(store, change(OWNER, Action.ARCHIVE, RoomId("grave")))
    assert await shown(store, OUTSIDER, True) == [("attic", Role.GUEST, 1, 0), (ROOM, Role.GUEST, 5, 0)]
    for user in (MEMBER, INVITED, BANNED):
        assert await shown(store, user, True) == [("attic", Role.GUEST, 1, 0)]
    for number in range(200):
        await store.create_room(RoomId(f"room-{number}"), f"A {number:03}", True, OWNER, None, 10_000)
    rooms = [room for room, *_ in await shown(store, OUTSIDER, True)]
    assert rooms == [f"room-{number}" for number in range(200)]


async def test_unread_are_messages_of_others_above_the_mark(store: Store) -> None:
    """No own ones, no deleted ones, no other events, none that retention took; counted up to 100."""
    await furnish(store)
    first = (await state_of(store)).offset
    await passes(store, [post(f"{n}", None, who, ROOM) for n in range(4) for who in (OWNER, MEMBER)])
    await passes(
        store,
        [
            change(OWNER, Action.DELETE, target=first + 1),
            change(OWNER, Action.EDIT, target=first + 3, message="better"),
            change(OWNER, Action.RENAME, facts={"title": "Lair"}),
        ],
    )
    assert (await shown(store, MEMBER))[1] == (ROOM, Role.MEMBER, 5, 3)
    assert (await shown(store, OWNER))[1] == (ROOM, Role.OWNER, 5, 4)
    await store.retain(time.time(), 1e6, 7)
    assert (await state_of(store)).floor == first + 4
    assert (await shown(store, MEMBER))[1] == (ROOM, Role.MEMBER, 5, 2)
    await store.mark_read([(ROOM, MEMBER, first + 5)])
    assert (await shown(store, MEMBER))[1] == (ROOM, Role.MEMBER, 5, 1)
    await passes(store, [post("x", None, OWNER, ROOM) for _ in range(120)])
    assert (await shown(store, MEMBER))[1] == (ROOM, Role.MEMBER, 5, 100)


async def test_who_joins_has_nothing_unread(store: Store) -> None:
    """What was said before they came is history; who comes back keeps no older mark either."""
    await furnish(store)
    await passes(store, [post("x", None, OWNER, ROOM) for _ in range(3)])
    await does(store, change(INVITED, Action.JOIN))
    assert (await shown(store, INVITED))[1] == (ROOM, Role.MEMBER, 6, 0)


@pytest.mark.parametrize("room", [DEFAULT_ROOM, ROOM])
async def test_a_mark_moves_forward_only_and_never_above_the_room(store: Store, room: RoomId) -> None:
    """Several marks of one room may come at once; the highest counts."""
    await furnish(store)
    await passes(store, [post("x", None, OWNER, room) for _ in range(50)])
    newest = (await state_of(store, room)).offset

    async def read() -> int:
        rows = await store.listings(MEMBER, False)
        return next(row.read for row in rows if row.entry.state.room == room)

    await store.mark_read([(room, MEMBER, newest - 9), (room, MEMBER, newest - 5), (room, MEMBER, newest - 7)])
    assert await read() == newest - 5
    await store.mark_read([(room, MEMBER, newest - 6), (NOWHERE, MEMBER, 7)])
    assert await read() == newest - 5
    await store.mark_read([(room, MEMBER, 1 << 52)])
    assert await read() == newest
    await store.mark_read([])


async def test_only_members_have_a_mark(store: Store) -> None:
    """Whoever is invited, banned or nobody there gets no row from it; a mute is kept."""
    await furnish(store)
    before = await store.members(ROOM)
    await does(store, change(ADMIN, Action.BAN, DEFAULT_ROOM, user=OUTSIDER))
    await does(store, change(ADMIN, Action.MUTE, DEFAULT_ROOM, user=MEMBER))
    marks = [(room, user, 3) for room in (ROOM, DEFAULT_ROOM) for user in (INVITED, BANNED, OUTSIDER, MEMBER)]
    await store.mark_read(marks)
    assert await store.members(ROOM) == before
    entry = await store.entry(DEFAULT_ROOM, MEMBER)
    assert entry is not None
    assert entry.muted_until == math.inf
    assert await role_of(store, OUTSIDER, DEFAULT_ROOM) is Role.BANNED
    await passes(store, [change(OWNER, Action.UNBAN, user=BANNED), change(OWNER, Action.INVITE, user=BANNED)])
    assert [row.read for row in await store.listings(BANNED, False)] == [2, 0]
