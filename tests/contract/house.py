"""The room, its furniture and the writes that the store's tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, select, text

from app.model import DEFAULT_ROOM, Address, Change, Event, Post, RoomId, RoomState, Stored, UserName
from app.roles import Action, Role
from app.store import Store
from app.store_database import kind_of
from app.store_schema import metadata
from app.verdict import Denied, ErrorCode
from tests.contract.folk import (
    ADMIN,
    ANN,
    BANNED,
    INVITED,
    MEMBER,
    MODERATOR,
    OTHER_MEMBER,
    OWNER,
    PEOPLE,
    SECOND_OWNER,
)

HOME = Address("192.0.2.1")
ROOM = RoomId("den-1a2b3c")
NOWHERE = RoomId("nowhere")


@asynccontextmanager
async def opened(url: str, seconds: float = 20.0) -> AsyncIterator[Store]:
    """A store that is closed whatever happens."""
    store = Store(url, seconds)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def post(message: str, client_id: str | None = None, sender: UserName = ANN, room: RoomId = DEFAULT_ROOM) -> Post:
    """A post whose sender nobody has checked yet."""
    return Post(room, sender, message, client_id)


def change(sender: UserName, action: Action, room: RoomId = ROOM, **about: Any) -> Change:
    """A change of the room; who joins may join 64."""
    return Change(room, sender, action, **({"rooms_at_most": 64} | about))


async def passes(store: Store, writes: Sequence[Post | Change]) -> list[Stored]:
    """Carry out writes of which none is refused."""
    answers = await store.append(writes)
    stored = [answer for answer in answers if isinstance(answer, Stored)]
    assert len(stored) == len(writes), answers
    return stored


async def does(store: Store, write: Post | Change) -> Event:
    """Carry out one write that has to pass."""
    (stored,) = await passes(store, [write])
    assert not stored.repeated
    return stored.event


async def refused(store: Store, write: Post | Change) -> Denied:
    """Carry out one write that has to be refused, and to change nothing."""
    before = await store.room(write.room), await store.audit(write.room, None, 1000)
    (answer,) = await store.append([write])
    assert isinstance(answer, Denied), answer
    assert (await store.room(write.room), await store.audit(write.room, None, 1000)) == before
    return answer


async def why(store: Store, write: Post | Change) -> ErrorCode:
    """The code with which a write is refused."""
    return (await refused(store, write)).code


async def furnish(store: Store, *, public: bool = False, archived: bool = False) -> None:
    """A room with two owners, a moderator, two members, one invited and one banned for good; accounts of all."""
    for name in PEOPLE:
        await store.create_account(name, "hash")
    await store.create_account(ADMIN, "hash", admin=True)
    await store.create_room(ROOM, "Den", public, OWNER, None, 64)
    writes: list[Change] = []
    for name in (SECOND_OWNER, MODERATOR, MEMBER, OTHER_MEMBER):
        writes += [change(OWNER, Action.INVITE, user=name), change(name, Action.JOIN)]
    writes += [
        change(OWNER, Action.SET_ROLE, user=SECOND_OWNER, role=Role.OWNER),
        change(OWNER, Action.SET_ROLE, user=MODERATOR, role=Role.MODERATOR),
        change(OWNER, Action.INVITE, user=INVITED),
        change(OWNER, Action.BAN, user=BANNED),
    ]
    if archived:
        writes.append(change(OWNER, Action.ARCHIVE))
    await passes(store, writes)


async def state_of(store: Store, room: RoomId = ROOM) -> RoomState:
    """A room that exists."""
    state = await store.room(room)
    assert state is not None
    return state


async def role_of(store: Store, user: UserName, room: RoomId = ROOM) -> Role:
    """What the user is in a room that exists."""
    entry = await store.entry(room, user)
    assert entry is not None
    return entry.role


async def everything(store: Store, room: RoomId = DEFAULT_ROOM, after: int = 0) -> list[Event]:
    """All events of a room above an offset, page by page."""
    events: list[Event] = []
    while page := await store.events(room, events[-1].offset if events else after, 1000):
        events += page
    return events


def dump(url: str) -> str:
    """Every live row of every table as text."""
    engine = kind_of(url).connect(url, 20.0)
    with engine.connect() as connection:
        rows = [row for table in metadata.sorted_tables for row in connection.execute(select(table))]
    engine.dispose()
    return "\n".join(str(tuple(row)) for row in rows)


def execute(url: str, statement: str) -> Sequence[Row[Any, Any]]:
    """Run one statement behind the store's back; its rows, if it has any."""
    engine = kind_of(url).connect(url, 20.0, writes=True)
    try:
        with engine.connect() as connection, connection.begin():
            result = connection.execute(text(statement))
            return result.all() if result.returns_rows else []
    finally:
        engine.dispose()
