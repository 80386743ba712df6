"""The table of roles from the outside: every cell on the socket and over HTTP, and what stands beside the table."""

from __future__ import annotations

import itertools
from typing import Any, Final

import pytest

from app.roles import MEMBERS, TABLE, WHEN_ARCHIVED, WHEN_NOT_MUTED, Action, Role
from tests.contract.folk import NEWCOMER, OTHER_MEMBER, OWNER
from tests.socket.cells import Cell, House, Kind, about, actor, verb
from tests.socket.server import Client, Server

CELLS: Final = [
    *(Kind(role, action) for role, action in itertools.product(Role, Action)),
    *(Kind(role, action, archived=True) for role, action in itertools.product(Role, Action)),
    *(Kind(role, action, muted=True) for role, action in itertools.product((Role.MODERATOR, Role.MEMBER), Action)),
]
WAYS: Final = ("socket", "http")
LIVE: Final = frozenset({Action.POST, Action.TYPING, Action.READ})
"""What on the socket only a live member does."""
PAGES: Final = frozenset({Action.SEE, Action.HISTORY, Action.MEMBERS, Action.AUDIT})
EVENTS: Final[dict[Action, dict[str, Any]]] = {
    Action.JOIN: {"type": "member", "change": "joined"},
    Action.LEAVE: {"type": "member", "change": "left"},
    Action.POST: {"type": "message", "message": "hello, all"},
    Action.EDIT: {"type": "edited", "message": "better"},
    Action.DELETE: {"type": "deleted"},
    Action.DELETE_ANY: {"type": "deleted"},
    Action.INVITE: {"type": "member", "change": "invited", "user": NEWCOMER},
    Action.KICK: {"type": "member", "change": "kicked", "user": OTHER_MEMBER},
    Action.BAN: {"type": "member", "change": "banned", "user": OTHER_MEMBER, "reason": "noise"},
    Action.UNBAN: {"type": "member", "change": "unbanned"},
    Action.MUTE: {"type": "member", "change": "muted", "user": OTHER_MEMBER},
    Action.UNMUTE: {"type": "member", "change": "unmuted"},
    Action.SET_ROLE: {"type": "member", "change": "role", "user": OTHER_MEMBER, "role": "moderator"},
    Action.RENAME: {"type": "room", "change": "renamed", "title": "Another"},
    Action.CONFIGURE: {"type": "room", "change": "configured", "slow_seconds": 5},
    Action.ARCHIVE: {"type": "room", "change": "archived"},
    Action.UNARCHIVE: {"type": "room", "change": "unarchived"},
}
"""The event that an action leaves."""


Rooms = dict[tuple[Kind, str], Cell]


@pytest.fixture(scope="module")
def house(server: Server) -> House:
    return House(server)


@pytest.fixture(scope="module")
def rooms(house: House) -> Rooms:
    """A room of its own for each cell that leaves a trace; the others share one for each role."""
    keys = {key: _shared(*key) for key in itertools.product(CELLS, WAYS)}
    kinds = list(dict.fromkeys(keys.values()))
    built = dict(zip(kinds, house.build([kind for kind, _ in kinds]), strict=True))
    return {key: built[shared] for key, shared in keys.items()}


def _shared(kind: Kind, way: str) -> tuple[Kind, str]:
    if verdict(kind) is None and kind.action in EVENTS:
        return kind, way
    return kind._replace(action=Action.SEE), ""


def verdict(kind: Kind) -> str | None:
    """The code with which the action is refused, None when it is carried out: the table and what stands beside it."""
    if kind.role in (Role.STRANGER, Role.BANNED):
        return "room_unknown" if kind.role is Role.STRANGER else "banned"
    if kind.action not in TABLE[kind.role]:
        return "forbidden"
    if kind.archived and kind.action is Action.ARCHIVE:
        return "unchanged"
    if kind.archived and kind.action not in WHEN_ARCHIVED:
        return "room_archived"
    if kind.muted and kind.action in WHEN_NOT_MUTED:
        return "muted"
    return None


def name(kind: Kind) -> str:
    return "-".join([kind.role, kind.action, *["archived"] * kind.archived, *["muted"] * kind.muted])


@pytest.mark.parametrize("kind", CELLS, ids=name)
def test_every_cell_over_http(house: House, rooms: Rooms, kind: Kind) -> None:
    """Carried out with the event that tells it, or refused with the right word and without a trace.

    To join is to become a member there, which who is one already is: `unchanged`.
    """
    cell, expected = rooms[kind, "http"], verdict(kind)
    if kind.action is Action.JOIN and kind.role in MEMBERS and expected is None:
        expected = "unchanged"
    answer = house.http(actor(kind.role), cell.room, kind.action, **about(kind.action, cell))
    assert answer["code"] == expected, answer
    check(house, cell, kind, answer, expected)


@pytest.mark.parametrize("kind", [kind for kind in CELLS if kind.action is not Action.SEE], ids=name)
async def test_every_cell_on_the_socket(house: House, rooms: Rooms, kind: Kind) -> None:
    """The same, but that whoever is not live in the room is told so when they post, type or read.

    That is the right answer to everybody, strangers included: it comes from the connection alone, whether there is such
    a room or not. Members are made live first. To join is to be live there, which members can be in an archived room.
    """
    cell, expected = rooms[kind, "socket"], verdict(kind)
    client = await house.connect(actor(kind.role))
    if kind.action in LIVE:
        if kind.role in MEMBERS:
            await client.join(cell.room)
        else:
            expected = "not_joined"
    if kind.action is Action.JOIN and kind.role in MEMBERS:
        expected = None
    answer = await ask(client, cell, kind)
    assert answer.get("code") == expected, answer
    check(house, cell, kind, answer, expected)


async def ask(client: Client, cell: Cell, kind: Kind) -> dict[str, Any]:
    """The frame that answers the action."""
    await client.send(type=verb(kind.action), room=cell.room, id="ask", **about(kind.action, cell))
    return await client.until(id="ask")


@pytest.mark.parametrize("kind", [kind for kind in CELLS if kind.action is Action.SEE], ids=name)
async def test_seeing_on_the_socket(house: House, rooms: Rooms, kind: Kind) -> None:
    """In one's own list, or for guests among the public rooms as long as those can be joined; else nowhere."""
    cell, client = rooms[kind, "socket"], await house.connect(actor(kind.role))
    found = []
    for public in (False, True):
        await client.send(type="rooms", public=public, id="ask")
        found += [row for row in (await client.until(id="ask"))["rooms"] if row["room"] == cell.room]
    if verdict(kind) is not None or (kind.role is Role.GUEST and kind.archived):
        assert found == []
    else:
        page(cell, kind, found[0])


def check(house: House, cell: Cell, kind: Kind, answer: dict[str, Any], code: str | None) -> None:
    """That the answer is the whole truth."""
    newest = house.newest(cell.room)
    told = EVENTS.get(kind.action)
    if code is not None or told is None or (kind.action is Action.JOIN and kind.role in MEMBERS):
        assert newest["offset"] == cell.newest
    else:
        if kind.action is Action.LEAVE and kind.role is Role.INVITED:
            told = told | {"change": "declined"}
        assert newest["offset"] == answer["offset"] == cell.newest + 1
        assert {key: newest[key] for key in ("sender", *told)} == {"sender": actor(kind.role), **told}
    if code in ("muted", "banned"):
        assert 0 < answer["retry_after"] <= 60.01
    if code is None and kind.action in PAGES:
        page(cell, kind, answer)


def page(cell: Cell, kind: Kind, answer: dict[str, Any]) -> None:
    """That the page shows the room."""
    match kind.action:
        case Action.SEE:
            assert (answer["room"], answer["role"], answer["offset"]) == (cell.room, kind.role, cell.newest)
        case Action.HISTORY:
            assert [event["offset"] for event in answer["events"]] == list(range(1, cell.newest + 1))
        case Action.MEMBERS:
            rows = {row["user"]: row for row in answer["members"]}
            assert rows[OWNER]["role"] == "owner" and rows[actor(kind.role)]["role"] == kind.role
        case Action.AUDIT:
            assert answer["entries"][-1]["action"] == "create" and answer["entries"][-1]["by"] == OWNER
