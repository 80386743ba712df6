"""Furnished rooms, one for each cell of the table of roles, and every action on both ways to the server."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.model import Change, Event, EventKind, Post, RoomId, UserName
from app.roles import MEMBERS, Action, Role
from tests.contract.folk import ADMIN, MEMBER, NEWCOMER, OTHER_MEMBER, OWNER, PEOPLE, SECOND_OWNER, WHO
from tests.contract.house import change, passes
from tests.socket.server import Client, Server

OUTCAST, SILENT = UserName("otis"), UserName("sid")
"""Beside the house's people: one who is banned and one who is muted, both to be let off."""
_MANY = 100_000
"""More rooms than there are cells."""
_NUMBERS = itertools.count(1)


class Kind(NamedTuple):
    """A room in which somebody of that role is about to do that."""

    role: Role
    action: Action
    archived: bool = False
    muted: bool = False


@dataclass(frozen=True)
class Cell:
    """One room and the offsets of two messages: the actor's own, if they can write, and another's."""

    room: str
    newest: int
    """The offset of what happened last."""
    own: int
    foreign: int


def actor(role: Role) -> UserName:
    """Who acts in that role: the second owner, so that the room keeps one."""
    return SECOND_OWNER if role is Role.OWNER else WHO[role]


def about(action: Action, cell: Cell) -> dict[str, Any]:
    """The fields with which an action changes something in a furnished room."""
    other = {"user": OTHER_MEMBER}
    fields: dict[Action, dict[str, Any]] = {
        Action.POST: {"message": "hello, all"},
        Action.EDIT: {"target": cell.own, "message": "better"},
        Action.DELETE: {"target": cell.own},
        Action.DELETE_ANY: {"target": cell.foreign},
        Action.READ: {"offset": 1},
        Action.INVITE: {"user": NEWCOMER},
        Action.KICK: other,
        Action.MUTE: other,
        Action.BAN: other | {"seconds": 60, "reason": "noise"},
        Action.SET_ROLE: other | {"role": "moderator"},
        Action.UNBAN: {"user": OUTCAST},
        Action.UNMUTE: {"user": SILENT},
        Action.RENAME: {"title": "Another"},
        Action.CONFIGURE: {"slow_seconds": 5},
    }
    return fields.get(action, {})


def verb(action: Action) -> str:
    """What it is called on the wire."""
    return "delete" if action is Action.DELETE_ANY else action.value


class House:
    """The people's tokens, and as many furnished rooms as are asked for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.tokens: dict[UserName, str] = {}

    def build(self, kinds: Sequence[Kind]) -> list[Cell]:
        """One room for each."""
        return asyncio.run(self._build(kinds))

    def headers(self, user: UserName) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[user]}"}

    def http(self, user: UserName, room: str, action: Action, /, **fields: Any) -> dict[str, Any]:
        """The body of the answer; `code` is why it was refused."""
        method, path = "GET", f"/api/rooms/{room}"
        match action:
            case Action.HISTORY:
                path += "/events"
            case Action.MEMBERS | Action.AUDIT:
                path += f"/{action}"
            case Action.SEE:
                pass
            case _:
                method, path = "POST", f"{path}/{verb(action)}"
        body = fields if method == "POST" else None
        status, headers, answer = self.server.get(path, method=method, body=body, headers=self.headers(user))
        content: dict[str, Any] = json.loads(answer)
        assert (status == 200) == ("reason" not in content)
        assert (headers["content-type"] == "application/problem+json") == ("reason" in content)
        return content | {"code": content.get("reason")}

    async def connect(self, user: UserName) -> Client:
        return await self.server.connect(self.tokens[user])

    def newest(self, room: str) -> dict[str, Any]:
        """The room's last event."""
        event: dict[str, Any] = self.http(OWNER, room, Action.HISTORY)["events"][-1]
        return event

    async def _build(self, kinds: Sequence[Kind]) -> list[Cell]:
        if not self.tokens:
            await self._people()
        rooms = [RoomId(f"cell-{next(_NUMBERS)}") for _ in kinds]
        told = [_furniture(room, kind) for room, kind in zip(rooms, kinds, strict=True)]
        async with self.server.store() as store:
            for room, kind in zip(rooms, kinds, strict=True):
                await store.create_room(room, "Den", kind.role is Role.GUEST, OWNER, None, _MANY)
            stored = iter(await passes(store, list(itertools.chain(*told))))
        events = [[item.event for item in itertools.islice(stored, len(writes))] for writes in told]
        return [_cell(kind, own) for kind, own in zip(kinds, events, strict=True)]

    async def crowded(self, count: int) -> list[str]:
        """So many private rooms with somebody of each role, and two moderators."""
        if not self.tokens:
            await self._people()
        rooms = [RoomId(f"cell-{next(_NUMBERS)}") for _ in range(count)]
        async with self.server.store() as store:
            for room in rooms:
                await store.create_room(room, "Den", False, OWNER, None, _MANY)
                seats = itertools.chain(*(_seat(room, role) for role in Role))
                promoted = change(OWNER, Action.SET_ROLE, room, user=MEMBER, role=Role.MODERATOR)
                await passes(store, [*_joins(room, OTHER_MEMBER), *seats, promoted])
        return list(rooms)

    async def _people(self) -> None:
        async with self.server.store() as store:
            for name in (*PEOPLE, OUTCAST, SILENT, ADMIN):
                await store.create_account(name, "!", admin=name == ADMIN)
        for name in (*PEOPLE, OUTCAST, SILENT, ADMIN):
            self.tokens[name] = await self.server.mint(name)


def _furniture(room: RoomId, kind: Kind) -> list[Post | Change]:
    writes = [*_joins(room, OTHER_MEMBER), Post(room, OTHER_MEMBER, "another's"), *_seat(room, kind.role)]
    if kind.role in MEMBERS:
        writes.append(Post(room, actor(kind.role), "my own"))
    if kind.muted:
        writes.append(change(OWNER, Action.MUTE, room, user=actor(kind.role), until=time.time() + 60))
    if kind.action is Action.UNBAN:
        writes.append(change(OWNER, Action.BAN, room, user=OUTCAST))
    if kind.action is Action.UNMUTE:
        writes.append(change(OWNER, Action.MUTE, room, user=SILENT))
    if kind.archived or kind.action is Action.UNARCHIVE:
        writes.append(change(OWNER, Action.ARCHIVE, room))
    return writes


def _cell(kind: Kind, events: list[Event]) -> Cell:
    said = {event.sender: event.offset for event in events if event.kind is EventKind.MESSAGE}
    return Cell(events[-1].room, events[-1].offset, said.get(actor(kind.role), 1), said[OTHER_MEMBER])


def _joins(room: RoomId, user: UserName) -> list[Post | Change]:
    return [change(OWNER, Action.INVITE, room, user=user), change(user, Action.JOIN, room, rooms_at_most=_MANY)]


def _seat(room: RoomId, role: Role) -> list[Post | Change]:
    """Whatever makes the actor somebody of that role."""
    user = actor(role)
    match role:
        case Role.OWNER | Role.MODERATOR:
            return [*_joins(room, user), change(OWNER, Action.SET_ROLE, room, user=user, role=role)]
        case Role.MEMBER:
            return _joins(room, user)
        case Role.INVITED:
            return [change(OWNER, Action.INVITE, room, user=user)]
        case Role.BANNED:
            return [change(OWNER, Action.BAN, room, user=user, until=time.time() + 60)]
    return []
