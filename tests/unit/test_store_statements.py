"""What the store asks its database: how many statements, and by which index."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from sqlalchemy import ClauseElement, Engine, event

from app import store_edits, store_events, store_listings
from app.model import DEFAULT_ROOM, Address, Post, RoomId, UserName
from app.store import Store
from app.store_events import KNOWN
from app.store_sqlite import connect
from tests.unit.sqlite_store import migrated, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an empty, migrated store."""
    return migrated(tmp_path)


def test_client_ids_are_searched_in_their_index(path: Path) -> None:
    """A scan of the events for each batch would be slower with every message."""
    engine = connect(f"sqlite:///{path}", 1.0)
    statement = str(KNOWN.compile(engine, compile_kwargs={"render_postcompile": True}))
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("[]",)).all()
    engine.dispose()
    assert any(
        "SEARCH events USING INDEX events_client_id (room=? AND sender=? AND client_id=?)" in row[3] for row in plan
    )


@pytest.mark.parametrize("size", [1, 64])
async def test_a_batch_of_posts_takes_four_statements(path: Path, size: int) -> None:
    """Whatever its size, where the room's own `access` vouches for them: lock, look for ids, insert, move on."""
    async with opened(path) as store:
        seen: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement.split(maxsplit=1)[0])

        event.listen(Engine, "before_cursor_execute", note)
        try:
            await store.append([Post(DEFAULT_ROOM, UserName("ann"), "x", f"{n}", 0) for n in range(size)])
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    assert seen == ["BEGIN", "SELECT", "SELECT", "INSERT", "UPDATE"]


async def test_every_read_is_one_statement(path: Path) -> None:
    """In PostgreSQL it runs without a transaction that would make two of them see the same."""
    counts: dict[str, int] = {}
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    def count(verb: str, _seconds: float) -> None:
        counts[verb] = len([statement for statement in seen if statement != "BEGIN"])
        seen.clear()

    store, ann, now = Store(f"sqlite:///{path}", 20.0, count), UserName("ann"), time.time()
    await store.open()
    counts.clear()
    event.listen(Engine, "before_cursor_execute", note)
    try:
        await store.ping()
        await store.account(ann)
        await store.accounts_exist()
        await store.external_account("issuer", "subject", "")
        await store.session(b"")
        await store.sessions(ann)
        await store.standing(ann, Address("192.0.2.1"), None, None, now)
        await store.ended([(ann, Address("192.0.2.1"), None, None)], now)
        await store.bans()
        await store.events(DEFAULT_ROOM, 0, 10)
        await store.events_before(DEFAULT_ROOM, None, 10)
        await store.newest([DEFAULT_ROOM])
        await store.room(DEFAULT_ROOM)
        await store.entry(DEFAULT_ROOM, ann)
        await store.members(DEFAULT_ROOM)
        await store.listing(DEFAULT_ROOM, ann)
        await store.listings(ann, public=False)
        await store.audit(DEFAULT_ROOM, None, 10)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        await store.close()
    sources = (Path(store_events.__file__).parent).glob("store_*.py")
    reads = {name for source in sources for name in re.findall(r"self\._read\((\w+)[,)]", source.read_text())}
    only_at_the_start = {"schema_revision"}
    assert {verb: counts.get(verb) for verb in reads - only_at_the_start} == dict.fromkeys(reads - only_at_the_start, 1)


async def test_a_list_of_rooms_takes_one_statement_whatever_its_length(path: Path) -> None:
    """So do marks: nothing is asked room by room."""
    async with opened(path) as store:
        ann = UserName("ann")
        rooms = [RoomId(f"room-{n}") for n in range(20)]
        for room in rooms:
            await store.create_room(room, "Room", True, ann, None, 64)
        seen: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement.split(maxsplit=1)[0])

        event.listen(Engine, "before_cursor_execute", note)
        try:
            assert len(await store.listings(ann, public=False)) == 21
            assert len(await store.listings(UserName("bob"), public=True)) == 20
            await store.mark_read([(room, ann, 1) for room in rooms])
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    assert seen == ["BEGIN", "SELECT", "BEGIN", "SELECT", "BEGIN", "INSERT"]


@pytest.mark.parametrize(
    ("statement", "plan"),
    [
        (store_events._AFTER, "SEARCH events USING PRIMARY KEY (room=? AND offset>?)"),
        (store_events._BEFORE, "SEARCH events USING PRIMARY KEY (room=? AND offset>? AND offset<?)"),
        (store_edits._ERASE_EDITS, "SEARCH events USING COVERING INDEX events_target (room=? AND target=?)"),
        (store_listings._OWN, "SEARCH theirs USING INDEX members_user (user=?)"),
        (store_listings._OWN, "SEARCH events USING PRIMARY KEY (room=? AND offset>?)"),
        (store_listings._OPEN, "SCAN rooms USING INDEX rooms_open"),
    ],
)
def test_what_grows_is_searched_in_an_index(path: Path, statement: ClauseElement, plan: str) -> None:
    """History and members are never scanned as a whole."""
    engine = connect(f"sqlite:///{path}", 1.0)
    text = str(statement.compile(engine))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (None,) * text.count("?")).all()
    engine.dispose()
    assert plan in [row[3] for row in rows]
