"""The table of roles, held against the store: every cell, allowed and refused, and what stands beside the table."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from app.model import Change, Post, Stored, UserName
from app.roles import TABLE, WHEN_ARCHIVED, WHEN_NOT_MUTED, Action, Role, outranks
from app.store import Store
from app.verdict import Denied, ErrorCode
from tests.contract.folk import (
    ADMIN,
    BANNED,
    INVITED,
    MEMBER,
    MODERATOR,
    NEWCOMER,
    OTHER_MEMBER,
    OUTSIDER,
    OWNER,
    SECOND_OWNER,
    WHO,
)
from tests.contract.house import ROOM, change, does, furnish, passes, post, refused, role_of, why

READS = (Action.SEE, Action.HISTORY, Action.READ, Action.MEMBERS, Action.TYPING, Action.AUDIT)
"""What the store's caller decides, by `entry`."""
WRITES = [action for action in Action if action not in READS]
CONCERNING = (Action.INVITE, Action.KICK, Action.BAN, Action.UNBAN, Action.MUTE, Action.UNMUTE, Action.SET_ROLE)

ABOUT: dict[Action, dict[str, Any]] = {
    Action.EDIT: {"message": "better"},
    Action.INVITE: {"user": NEWCOMER},
    Action.KICK: {"user": OTHER_MEMBER},
    Action.BAN: {"user": OTHER_MEMBER},
    Action.UNBAN: {"user": NEWCOMER},
    Action.MUTE: {"user": OTHER_MEMBER},
    Action.UNMUTE: {"user": OTHER_MEMBER},
    Action.SET_ROLE: {"user": OTHER_MEMBER, "role": Role.MODERATOR},
    Action.RENAME: {"facts": {"title": "Another"}},
    Action.CONFIGURE: {"facts": {"slow_seconds": 5.0}},
}
BEFORE: dict[Action, Change] = {
    Action.UNBAN: change(OWNER, Action.BAN, user=NEWCOMER),
    Action.UNMUTE: change(OWNER, Action.MUTE, user=OTHER_MEMBER),
    Action.UNARCHIVE: change(OWNER, Action.ARCHIVE),
}
"""What has to be so for the action to change anything."""


async def prepared(store: Store, sender: UserName, action: Action) -> Post | Change:
    """The write that does it, and all that it needs; the message that it concerns has the sender as its author."""
    if action is Action.POST:
        return post("hello", None, sender, ROOM)
    about = dict(ABOUT.get(action, {}))
    if action in (Action.EDIT, Action.DELETE, Action.DELETE_ANY):
        author = OTHER_MEMBER if action is Action.DELETE_ANY else sender
        # The room's number vouches for whoever could not post: a message from when they could.
        state = await store.room(ROOM)
        assert state is not None
        about["target"] = (await does(store, Post(ROOM, author, "text", None, state.access))).offset
    if action in BEFORE:
        await does(store, BEFORE[action])
    return change(sender, action, **about)


@pytest.mark.parametrize(("role", "action"), list(itertools.product(Role, WRITES)))
async def test_every_cell(store: Store, role: Role, action: Action) -> None:
    """Allowed: an event; refused: the right code, and nothing changed. Members have joined already."""
    await furnish(store, public=role is Role.GUEST)
    write = await prepared(store, WHO[role], action)
    if action is Action.JOIN and role in (Role.OWNER, Role.MODERATOR, Role.MEMBER):
        assert await why(store, write) is ErrorCode.UNCHANGED
    elif action in TABLE[role]:
        await does(store, write)
    else:
        expected = {Role.STRANGER: ErrorCode.ROOM_UNKNOWN, Role.BANNED: ErrorCode.BANNED}
        assert await refused(store, write) == Denied(expected.get(role, ErrorCode.FORBIDDEN))


@pytest.mark.parametrize("action", [action for action in WRITES if action is not Action.JOIN])
async def test_an_archived_room_takes_what_the_list_says(store: Store, action: Action) -> None:
    """An owner may do everything else; archiving it again changes nothing."""
    await furnish(store)
    write = await prepared(store, OWNER, action)
    if action is not Action.UNARCHIVE:
        await does(store, BEFORE[Action.UNARCHIVE])
    if action in WHEN_ARCHIVED:
        await does(store, write)
    else:
        code = await why(store, write)
        assert code is (ErrorCode.UNCHANGED if action is Action.ARCHIVE else ErrorCode.ROOM_ARCHIVED)


@pytest.mark.parametrize("role", [Role.INVITED, Role.GUEST])
async def test_an_archived_room_is_not_joined(store: Store, role: Role) -> None:
    """An invitation can still be declined."""
    await furnish(store, public=role is Role.GUEST, archived=True)
    assert await why(store, change(WHO[role], Action.JOIN)) is ErrorCode.ROOM_ARCHIVED
    if role is Role.INVITED:
        await does(store, change(INVITED, Action.LEAVE))


@pytest.mark.parametrize("action", [Action.POST, Action.EDIT, Action.DELETE, Action.LEAVE])
async def test_a_muted_member_does_not_write(store: Store, action: Action) -> None:
    """They may take back what they said, and leave; the answer says how long."""
    await furnish(store)
    write = await prepared(store, MEMBER, action)
    await does(store, change(MODERATOR, Action.MUTE, user=MEMBER, until=time.time() + 100))
    if action in WHEN_NOT_MUTED:
        denied = await refused(store, write)
        assert denied.code is ErrorCode.MUTED
        assert denied.retry_after is not None
        assert 90 < denied.retry_after <= 100
    else:
        await does(store, write)


TARGETS = {**WHO, Role.OWNER: SECOND_OWNER, Role.MODERATOR: MODERATOR, Role.STRANGER: OUTSIDER}
NEEDS = {
    Action.KICK: (Role.OWNER, Role.MODERATOR, Role.MEMBER, Role.INVITED),
    Action.SET_ROLE: (Role.OWNER, Role.MODERATOR, Role.MEMBER),
}
DONE: dict[Action, tuple[Role, ...]] = {
    Action.INVITE: (Role.MODERATOR, Role.MEMBER, Role.INVITED),
    Action.UNBAN: (Role.MODERATOR, Role.MEMBER, Role.INVITED, Role.GUEST, Role.STRANGER),
    Action.BAN: (Role.BANNED,),
    Action.UNMUTE: tuple(Role),
}


@pytest.mark.parametrize(
    ("role", "other", "action"),
    [
        (role, other, action)
        for role, other, action in itertools.product((Role.OWNER, Role.MODERATOR), Role, CONCERNING)
        if action in TABLE[role]
    ],
)
async def test_nobody_acts_on_those_who_are_not_below(store: Store, role: Role, other: Role, action: Action) -> None:
    """Whoever has to be in the room is looked for first, then the ranks count, then whether it is so already."""
    await furnish(store, public=other is Role.GUEST)
    if role is Role.MODERATOR and other is Role.MODERATOR:
        await does(store, change(OWNER, Action.SET_ROLE, user=OTHER_MEMBER, role=Role.MODERATOR))
    target = OTHER_MEMBER if role is other is Role.MODERATOR else TARGETS[other]
    wish = Role.MEMBER if other is Role.MODERATOR else Role.MODERATOR
    answer = (await store.append([change(WHO[role], action, user=target, role=wish)]))[0]
    if other not in NEEDS.get(action, tuple(Role)):
        assert answer == Denied(ErrorCode.MEMBER_UNKNOWN)
    elif not outranks(role, other):
        assert answer == Denied(ErrorCode.FORBIDDEN)
    elif action is Action.INVITE and other is Role.BANNED:
        assert answer == Denied(ErrorCode.FORBIDDEN, sentence="Lift the ban first.")
    elif other in DONE.get(action, ()):
        assert answer == Denied(ErrorCode.UNCHANGED)
    else:
        assert isinstance(answer, Stored)


@pytest.mark.parametrize("action", [action for action in CONCERNING if action is not Action.SET_ROLE])
async def test_nobody_acts_on_themself(store: Store, action: Action) -> None:
    """Leaving is a verb of its own."""
    await furnish(store)
    assert await why(store, change(OWNER, action, user=OWNER)) is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("action", CONCERNING)
async def test_nobody_acts_on_who_does_not_exist(store: Store, action: Action) -> None:
    """A misspelled name is told from somebody who is not in the room."""
    await furnish(store)
    code = await why(store, change(OWNER, action, user=UserName("nobody"), role=Role.MEMBER))
    assert code is ErrorCode.USER_UNKNOWN


async def test_administrators_own_public_rooms_and_no_private_one(store: Store) -> None:
    """Nobody in the room outranks them; a ban in a private room goes before everything."""
    await furnish(store)
    assert await role_of(store, ADMIN) is Role.STRANGER
    await passes(store, [change(OWNER, Action.INVITE, user=ADMIN), change(ADMIN, Action.JOIN)])
    assert await role_of(store, ADMIN) is Role.MEMBER
    await does(store, change(OWNER, Action.CONFIGURE, facts={"public": True}))
    assert await role_of(store, ADMIN) is Role.OWNER
    assert await why(store, change(OWNER, Action.KICK, user=ADMIN)) is ErrorCode.FORBIDDEN
    await passes(
        store, [change(ADMIN, Action.CONFIGURE, facts={"public": False}), change(OWNER, Action.BAN, user=ADMIN)]
    )
    await does(store, change(OWNER, Action.CONFIGURE, facts={"public": True}))
    assert await role_of(store, ADMIN) is Role.BANNED


async def test_a_role_goes_before_an_invitation_and_a_ban_before_all(store: Store) -> None:
    """In the order of the list: banned, administrator, role, invited, everyone, public, else nobody."""
    await furnish(store)
    roles = {name: await role_of(store, name) for name in (OWNER, MODERATOR, MEMBER, INVITED, BANNED, OUTSIDER)}
    assert list(roles.values()) == [
        Role.OWNER,
        Role.MODERATOR,
        Role.MEMBER,
        Role.INVITED,
        Role.BANNED,
        Role.STRANGER,
    ]
    await does(store, change(OWNER, Action.CONFIGURE, facts={"public": True}))
    assert await role_of(store, OUTSIDER) is Role.GUEST
    assert await role_of(store, BANNED) is Role.BANNED
    assert await role_of(store, INVITED) is Role.INVITED
