"""Beside the table of roles: who may act on whom and on oneself, administrators, and the room that everybody is in."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Final

import pytest

from app.roles import MEMBERS, TABLE, Action, Role, outranks
from tests.contract.house import ADMIN, INVITED, MEMBER, MODERATOR, OTHER_MEMBER, OUTSIDER, OWNER, SECOND_OWNER, WHO
from tests.socket.cells import House
from tests.socket.server import Server

ACTORS: Final = {Role.OWNER: SECOND_OWNER, Role.MODERATOR: MEMBER}
"""In a crowded room, where the member of the house is a second moderator."""
OTHERS: Final = {role: WHO[role] for role in Role if role is not Role.GUEST} | {Role.MEMBER: OTHER_MEMBER}
CONCERNING: Final[dict[Action, dict[str, Any]]] = {
    Action.INVITE: {},
    Action.KICK: {},
    Action.BAN: {"seconds": 30},
    Action.UNBAN: {},
    Action.MUTE: {"seconds": 30},
    Action.UNMUTE: {},
    Action.SET_ROLE: {"role": "member"},
}
KEYS: Final = list(itertools.product(ACTORS, CONCERNING))
WAYS: Final = ("socket", "http")


@pytest.fixture(scope="module")
def house(server: Server) -> House:
    return House(server)


@pytest.fixture(scope="module")
def rooms(house: House) -> dict[tuple[tuple[Role, Action], str], str]:
    """One for each role and action: those whom it concerns do not disturb each other."""
    keys = list(itertools.product(KEYS, WAYS))
    return dict(zip(keys, asyncio.run(house.crowded(len(keys))), strict=True))


def verdict(role: Role, action: Action, other: Role) -> str | None:
    """What somebody of a role is told who does that to somebody of another one."""
    if action not in TABLE[role]:
        return "forbidden"
    there = {Action.KICK: (*MEMBERS, Role.INVITED), Action.SET_ROLE: MEMBERS}.get(action)
    if there is not None and other not in there:
        return "member_unknown"
    if not outranks(role, other):
        return "forbidden"
    match action:
        case Action.INVITE:
            return {Role.BANNED: "forbidden", Role.STRANGER: None}.get(other, "unchanged")
        case Action.UNBAN:
            return None if other is Role.BANNED else "unchanged"
        case Action.SET_ROLE:
            return "unchanged" if other is Role.MEMBER else None
        case Action.UNMUTE:
            return "unchanged"
    return None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("role", "action"), KEYS)
async def test_nobody_acts_on_their_own_rank_or_above(
    house: House, rooms: dict[tuple[tuple[Role, Action], str], str], role: Role, action: Action, way: str
) -> None:
    """Owners on all but owners, moderators on all below them: everybody in turn, carried out or told why not."""
    room, about = rooms[(role, action), way], CONCERNING[action]
    client = await house.connect(ACTORS[role])
    for other, user in OTHERS.items():
        before = house.newest(room)["offset"]
        if way == "http":
            answer = house.http(ACTORS[role], room, action, user=user, **about)
        else:
            answer = await client.ask(type=action, room=room, user=user, **about)
        expected = verdict(role, action, other)
        assert answer.get("code") == expected, (other, answer)
        newest = house.newest(room)
        assert newest["offset"] == before + (expected is None)
        if expected is None:
            assert (newest["offset"], newest["user"]) == (answer["offset"], user)


@pytest.mark.parametrize("action", CONCERNING)
async def test_oneself_and_nobody(house: House, action: Action) -> None:
    """No one acts on themself, but an owner may step down while another one remains; a name must be an account's."""
    (room,) = await house.crowded(1)
    for user in (SECOND_OWNER, MODERATOR):
        code = house.http(user, room, action, user=user, **CONCERNING[action])["code"]
        stepping_down = (user, action) == (SECOND_OWNER, Action.SET_ROLE)
        assert code == (None if stepping_down else "forbidden")
    assert house.http(OWNER, room, action, user="nobody-at-all", **CONCERNING[action])["code"] == "user_unknown"


async def test_the_last_owner_stays(house: House) -> None:
    """Neither leaves nor steps down before somebody else is one; then both are possible."""
    (room,) = await house.crowded(1)
    assert house.http(OWNER, room, Action.SET_ROLE, user=OWNER, role="member")["code"] is None
    assert house.http(SECOND_OWNER, room, Action.LEAVE)["code"] == "last_owner"
    assert house.http(SECOND_OWNER, room, Action.SET_ROLE, user=SECOND_OWNER, role="member")["code"] == "last_owner"
    assert house.http(SECOND_OWNER, room, Action.SET_ROLE, user=OWNER, role="owner")["code"] is None
    assert house.http(SECOND_OWNER, room, Action.LEAVE)["code"] is None
    assert house.http(OWNER, room, Action.RENAME, title="Mine")["code"] is None


async def test_an_administrator_owns_public_rooms_and_sees_no_private_one(house: House) -> None:
    """Without joining; what was public for a while is out of their reach once it is private."""
    (room,) = await house.crowded(1)
    for action in (Action.SEE, Action.HISTORY, Action.AUDIT, Action.MEMBERS, Action.ARCHIVE):
        assert house.http(ADMIN, room, action)["code"] == "room_unknown"
    client = await house.connect(ADMIN)
    assert (await client.ask(type="join", room=room))["code"] == "room_unknown"
    assert house.http(OWNER, room, Action.CONFIGURE, public=True)["code"] is None
    assert house.http(ADMIN, room, Action.SEE)["role"] == "owner"
    assert house.http(ADMIN, room, Action.RENAME, title="Open")["code"] is None
    assert house.http(ADMIN, room, Action.KICK, user=MODERATOR)["code"] is None
    assert house.http(ADMIN, room, Action.BAN, user=OWNER)["code"] == "forbidden"
    assert house.http(MEMBER, room, Action.KICK, user=ADMIN)["code"] == "member_unknown"
    assert (await client.ask(type="join", room=room))["role"] == "owner"


async def test_what_turns_private_is_lost_to_administrators_who_are_no_members(house: House) -> None:
    """At once, like a removal: they get the event that says so and nothing above it. Those who joined stay."""
    one, two = await house.crowded(2)
    for room in (one, two):
        house.http(OWNER, room, Action.CONFIGURE, public=True)
    assert house.http(ADMIN, two, Action.JOIN)["code"] is None
    client = await house.connect(ADMIN)
    for room in (one, two):
        await client.join(room)
    for room in (one, two):
        house.http(OWNER, room, Action.CONFIGURE, public=False)
        house.http(OWNER, room, Action.POST, message="among us")
    seen = []
    await client.send(type="post", room=one, message="still here", id="p")
    while (frame := await client.receive()).get("id") != "p":
        seen.append((frame["room"], frame.get("change") or frame.get("code") or frame.get("message")))
    assert frame["code"] == "not_joined"
    assert seen == [(one, "configured"), (one, "removed"), (two, "configured"), (two, "among us")]
    assert (await client.post("me too", two))["type"] == "ack"


async def test_the_room_that_everybody_is_in(house: House) -> None:
    """Owned by administrators; not left, closed to nobody, never archived; a kick lasts for a moment."""
    lobby, client = "lobby", await house.connect(OUTSIDER)
    assert house.http(OUTSIDER, lobby, Action.SEE)["role"] == "member"
    assert house.http(ADMIN, lobby, Action.SEE)["role"] == "owner"
    for user in (ADMIN, OUTSIDER):
        assert house.http(user, lobby, Action.LEAVE)["code"] == "forbidden"
    assert house.http(ADMIN, lobby, Action.INVITE, user=INVITED)["code"] == "forbidden"
    assert house.http(ADMIN, lobby, Action.ARCHIVE)["code"] == "forbidden"
    assert house.http(ADMIN, lobby, Action.CONFIGURE, public=False)["code"] == "forbidden"
    assert house.http(OUTSIDER, lobby, Action.RENAME, title="Mine")["code"] == "forbidden"
    assert house.http(OUTSIDER, lobby, Action.JOIN)["code"] == "unchanged"
    await client.join()
    assert (await client.ask(type="leave", room=lobby))["type"] == "ack"
    assert (await client.ask(type="leave", room=lobby))["code"] == "not_joined"
    await client.join()
    assert house.http(ADMIN, lobby, Action.KICK, user=OUTSIDER)["code"] is None
    assert (await client.until(type="member"))["change"] == "kicked"
    assert (await client.post("gone?"))["code"] == "not_joined"
    await client.join()
    assert (await client.post("back"))["type"] == "ack"
    assert house.http(ADMIN, lobby, Action.BAN, user=OUTSIDER)["code"] is None
    assert house.http(OUTSIDER, lobby, Action.HISTORY)["code"] == "banned"
    assert (await client.ask(type="join", room=lobby))["code"] == "banned"
    assert house.http(ADMIN, lobby, Action.UNBAN, user=OUTSIDER)["code"] is None
    assert (await client.join())["role"] == "member"


async def test_an_administrator_live_in_a_public_room_can_leave_it(house: House) -> None:
    """There is no membership to end, so this connection stops receiving."""
    (room,) = await house.crowded(1)
    house.http(OWNER, room, Action.CONFIGURE, public=True)
    client = await house.connect(ADMIN)
    await client.join(room)
    assert (await client.ask(type="leave", room=room))["type"] == "ack"
    assert (await client.post("gone?", room))["code"] == "not_joined"
