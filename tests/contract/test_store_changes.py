"""Changes: what each of them leaves behind, what it says, and when there is nothing to change."""

from __future__ import annotations

import math
import time

import pytest

from app.model import DEFAULT_ROOM, EventKind, Stored
from app.roles import Action, Role
from app.store import Store
from app.verdict import Denied, ErrorCode
from tests.contract.folk import ADMIN, INVITED, MEMBER, MODERATOR, NEWCOMER, OTHER_MEMBER, OUTSIDER, OWNER, SECOND_OWNER
from tests.contract.house import (
    NOWHERE,
    ROOM,
    change,
    does,
    everything,
    furnish,
    passes,
    refused,
    role_of,
    state_of,
    why,
)


async def test_an_invited_user_joins(den: Store) -> None:
    """The event names the new role; what was said before is read; joining again changes nothing."""
    event = await does(den, change(INVITED, Action.JOIN))
    assert (event.kind, event.sender, event.message) == (EventKind.MEMBER, INVITED, "")
    assert event.facts == {"change": "joined", "user": INVITED, "role": "member"}
    assert await role_of(den, INVITED) is Role.MEMBER
    assert await why(den, change(INVITED, Action.JOIN)) is ErrorCode.UNCHANGED


async def test_a_guest_joins_a_public_room(store: Store) -> None:
    """Nobody has to invite them."""
    await furnish(store, public=True)
    await does(store, change(OUTSIDER, Action.JOIN))
    assert await role_of(store, OUTSIDER) is Role.MEMBER


async def test_memberships_are_bounded(den: Store) -> None:
    """Rooms that were joined count, the default room and invitations do not; leaving makes room."""
    await does(den, change(INVITED, Action.JOIN, rooms_at_most=1))
    other = await den.create_room(NOWHERE, "Other", True, OWNER, None, 64)
    assert isinstance(other, Stored)
    denied = await refused(den, change(INVITED, Action.JOIN, NOWHERE, rooms_at_most=1))
    assert denied == Denied(ErrorCode.TOO_MANY_ROOMS, limit="rooms_per_user")
    await passes(den, [change(INVITED, Action.LEAVE), change(INVITED, Action.JOIN, NOWHERE, rooms_at_most=1)])


async def test_leaving_and_declining(den: Store) -> None:
    """Either way the room is gone for them; an invitation can be made again."""
    assert (await does(den, change(MEMBER, Action.LEAVE))).facts == {"change": "left", "user": MEMBER}
    assert (await does(den, change(INVITED, Action.LEAVE))).facts == {"change": "declined", "user": INVITED}
    assert {await role_of(den, MEMBER), await role_of(den, INVITED)} == {Role.STRANGER}
    await passes(den, [change(OWNER, Action.INVITE, user=INVITED), change(INVITED, Action.JOIN)])


async def test_the_last_owner_stays_one(den: Store) -> None:
    """They can neither leave nor step down before there is another."""
    await does(den, change(SECOND_OWNER, Action.SET_ROLE, user=SECOND_OWNER, role=Role.MODERATOR))
    assert await why(den, change(OWNER, Action.LEAVE)) is ErrorCode.LAST_OWNER
    assert await why(den, change(OWNER, Action.SET_ROLE, user=OWNER, role=Role.MEMBER)) is ErrorCode.LAST_OWNER
    await passes(den, [change(OWNER, Action.SET_ROLE, user=MEMBER, role=Role.OWNER), change(OWNER, Action.LEAVE)])
    assert await role_of(den, MEMBER) is Role.OWNER


async def test_inviting(den: Store) -> None:
    """Once; members and invited users have nothing to gain, banned ones have to be unbanned first."""
    event = await does(den, change(MODERATOR, Action.INVITE, user=NEWCOMER, reason="knows Rust"))
    assert event.facts == {"change": "invited", "user": NEWCOMER, "reason": "knows Rust"}
    assert await role_of(den, NEWCOMER) is Role.INVITED
    for user in (NEWCOMER, MEMBER):
        assert await why(den, change(OWNER, Action.INVITE, user=user)) is ErrorCode.UNCHANGED


async def test_a_kicked_user_needs_a_new_invitation(den: Store) -> None:
    """The reason is told; who was only invited is uninvited by it."""
    event = await does(den, change(MODERATOR, Action.KICK, user=MEMBER, reason="spam"))
    assert event.facts == {"change": "kicked", "user": MEMBER, "reason": "spam"}
    await does(den, change(MODERATOR, Action.KICK, user=INVITED))
    assert {await role_of(den, MEMBER), await role_of(den, INVITED)} == {Role.STRANGER}
    assert await why(den, change(MODERATOR, Action.KICK, user=MEMBER)) is ErrorCode.MEMBER_UNKNOWN


async def test_a_ban_ends_by_itself_or_is_lifted(den: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the membership, also that of who is no member; what is refused says when it ends."""
    now = time.time()
    event = await does(den, change(MODERATOR, Action.BAN, user=MEMBER, until=now + 100, reason="rude"))
    assert event.facts == {"change": "banned", "user": MEMBER, "until": now + 100, "reason": "rude"}
    denied = await refused(den, change(MEMBER, Action.JOIN))
    assert denied.code is ErrorCode.BANNED
    assert 90 < (denied.retry_after or 0) <= 100
    monkeypatch.setattr(time, "time", lambda: now + 101)
    assert await role_of(den, MEMBER) is Role.STRANGER
    forever = await does(den, change(OWNER, Action.BAN, user=OUTSIDER))
    assert forever.facts == {"change": "banned", "user": OUTSIDER}
    assert await refused(den, change(OUTSIDER, Action.JOIN)) == Denied(ErrorCode.BANNED)
    entry = await den.entry(ROOM, OUTSIDER)
    assert entry is not None
    assert entry.banned_until == math.inf
    assert await why(den, change(OWNER, Action.BAN, user=OUTSIDER)) is ErrorCode.UNCHANGED
    lifted = await does(den, change(MODERATOR, Action.UNBAN, user=OUTSIDER))
    assert lifted.facts == {"change": "unbanned", "user": OUTSIDER}
    assert await role_of(den, OUTSIDER) is Role.STRANGER
    assert await why(den, change(OWNER, Action.UNBAN, user=OUTSIDER)) is ErrorCode.UNCHANGED


async def test_a_mute_outlives_leaving_and_joining(den: Store) -> None:
    """It also hits who is not in yet, and is lifted once."""
    event = await does(den, change(MODERATOR, Action.MUTE, user=MEMBER))
    assert event.facts == {"change": "muted", "user": MEMBER}
    assert await why(den, change(MODERATOR, Action.MUTE, user=MEMBER)) is ErrorCode.UNCHANGED
    await does(den, change(MODERATOR, Action.MUTE, user=NEWCOMER, until=time.time() + 100))
    writes = [
        change(MEMBER, Action.LEAVE),
        change(OWNER, Action.INVITE, user=MEMBER),
        change(MEMBER, Action.JOIN),
    ]
    await passes(den, writes)
    entry = await den.entry(ROOM, MEMBER)
    assert entry is not None
    assert (entry.role, entry.muted_until) == (Role.MEMBER, math.inf)
    assert (await does(den, change(MODERATOR, Action.UNMUTE, user=MEMBER))).facts == {
        "change": "unmuted",
        "user": MEMBER,
    }
    assert await why(den, change(MODERATOR, Action.UNMUTE, user=MEMBER)) is ErrorCode.UNCHANGED


async def test_roles_are_given_and_taken(den: Store) -> None:
    """The event says the new one; the same one again changes nothing."""
    event = await does(den, change(OWNER, Action.SET_ROLE, user=MEMBER, role=Role.MODERATOR, reason="helps"))
    assert event.facts == {"change": "role", "user": MEMBER, "role": "moderator", "reason": "helps"}
    assert await role_of(den, MEMBER) is Role.MODERATOR
    assert await why(den, change(OWNER, Action.SET_ROLE, user=MEMBER, role=Role.MODERATOR)) is ErrorCode.UNCHANGED
    await does(den, change(OWNER, Action.SET_ROLE, user=MEMBER, role=Role.MEMBER))
    assert await role_of(den, MEMBER) is Role.MEMBER
    with pytest.raises(ValueError, match="no role that can be given"):
        await den.append([change(OWNER, Action.SET_ROLE, user=MEMBER, role=Role.BANNED)])


async def test_the_room_is_renamed_configured_and_archived(den: Store) -> None:
    """Events say what is new and nothing else; 0 posts a second stands for the server's own rate."""
    renamed = await does(den, change(OWNER, Action.RENAME, facts={"title": "Lair"}))
    assert (renamed.kind, renamed.facts) == (EventKind.ROOM, {"change": "renamed", "title": "Lair"})
    settings = {"public": False, "posts_per_second": 2.0, "slow_seconds": 30.0}
    configured = await does(den, change(OWNER, Action.CONFIGURE, facts=settings))
    assert configured.facts == {"change": "configured", "posts_per_second": 2.0, "slow_seconds": 30.0}
    state = await state_of(den)
    assert (state.title, state.public, state.posts_per_second, state.slow_seconds) == ("Lair", False, 2.0, 30.0)
    reset = await does(den, change(OWNER, Action.CONFIGURE, facts={"public": True, "posts_per_second": 0.0}))
    assert reset.facts == {"change": "configured", "public": True, "posts_per_second": 0.0}
    assert (await state_of(den)).posts_per_second is None
    assert (await does(den, change(OWNER, Action.ARCHIVE))).facts == {"change": "archived"}
    assert (await state_of(den)).archived
    assert (await does(den, change(OWNER, Action.UNARCHIVE))).facts == {"change": "unarchived"}
    assert not (await state_of(den)).archived


async def test_what_is_so_already_is_not_changed(den: Store) -> None:
    """No event, and the number that vouches for posts stays."""
    for write in (
        change(OWNER, Action.RENAME, facts={"title": "Den"}),
        change(OWNER, Action.CONFIGURE, facts={"public": False, "posts_per_second": 0.0, "slow_seconds": 0.0}),
        change(OWNER, Action.UNARCHIVE),
    ):
        assert await why(den, write) is ErrorCode.UNCHANGED


async def test_everyone_is_a_member_of_the_default_room_for_good(den: Store) -> None:
    """Nobody leaves it, is invited, makes it private or archives it, whoever they are; the rest is as elsewhere."""
    lobby = DEFAULT_ROOM
    assert await why(den, change(MEMBER, Action.JOIN, lobby)) is ErrorCode.UNCHANGED
    for action, about in (
        (Action.LEAVE, {}),
        (Action.INVITE, {"user": MEMBER}),
        (Action.ARCHIVE, {}),
        (Action.CONFIGURE, {"facts": {"public": False}}),
    ):
        assert await why(den, change(ADMIN, action, lobby, **about)) is ErrorCode.FORBIDDEN
    assert await why(den, change(MEMBER, Action.KICK, lobby, user=OTHER_MEMBER)) is ErrorCode.FORBIDDEN
    await passes(
        den,
        [
            change(ADMIN, Action.SET_ROLE, lobby, user=MEMBER, role=Role.MODERATOR),
            change(MEMBER, Action.BAN, lobby, user=OTHER_MEMBER),
            change(ADMIN, Action.KICK, lobby, user=MEMBER),
            change(ADMIN, Action.RENAME, lobby, facts={"title": "Hall"}),
        ],
    )
    assert await role_of(den, MEMBER, lobby) is Role.MEMBER
    assert await role_of(den, OTHER_MEMBER, lobby) is Role.BANNED
    assert await why(den, change(ADMIN, Action.KICK, lobby, user=OTHER_MEMBER)) is ErrorCode.MEMBER_UNKNOWN


async def test_every_change_of_members_or_room_moves_access(den: Store) -> None:
    """By one each, so that whoever was checked before it is checked again."""
    events = await everything(den, ROOM)
    assert {event.kind for event in events} == {EventKind.MEMBER, EventKind.ROOM}
    assert (await state_of(den)).access == len(events)


async def test_a_repeated_change_is_answered_with_its_first_event(den: Store) -> None:
    """Also when it could not be made again; within a batch as well."""
    leave = change(MEMBER, Action.LEAVE, client_id="x")
    first, second = await passes(den, [leave, leave])
    (third,) = await passes(den, [leave])
    assert [first.repeated, second.repeated, third.repeated] == [False, True, True]
    assert first.event == second.event == third.event


async def test_a_change_in_an_unknown_room_is_refused_by_itself(den: Store) -> None:
    """Like one in a room that the sender must not know of."""
    answers = await den.append([change(OWNER, Action.ARCHIVE, NOWHERE), change(OUTSIDER, Action.ARCHIVE)])
    assert answers == [Denied(ErrorCode.ROOM_UNKNOWN)] * 2


async def test_what_is_answered_is_what_is_read_later(den: Store) -> None:
    """Facts and times of every kind of event survive the way into the store."""
    first = (await state_of(den)).offset
    writes = [
        change(OWNER, Action.MUTE, user=MEMBER, until=time.time() + 50.123),
        change(OWNER, Action.SET_ROLE, user=MEMBER, role=Role.MODERATOR, reason="ü \" ' 👋"),
        change(OWNER, Action.CONFIGURE, facts={"public": True, "slow_seconds": 1.5}),
    ]
    assert [stored.event for stored in await passes(den, writes)] == await everything(den, ROOM, first)
