"""In a PostgreSQL with much in it, nothing that is done for each handshake, post or page reads a whole table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.model import RoomId, SessionId, UserName
from app.roles import Action
from app.store import Store
from app.store_postgres import connect
from tests.contract.house import HOME, change, opened, post
from tests.postgres import Cluster

MUCH = """
INSERT INTO accounts (name, admin, disabled, one_time, created_at)
    SELECT 'user' || n, false, false, false, 0 FROM generate_series(1, 50000) n;
INSERT INTO rooms (name, "offset", stamped_at, title, public)
    SELECT 'room' || n, 100, 0, 'Room ' || n, n % 2 = 0 FROM generate_series(1, 20000) n;
INSERT INTO members (room, "user", role, muted_until, banned_until, read, since)
    SELECT r.id, 'user' || (r.id * 7 + n * 13) % 5000 + 1, 'member', 0, 0, 0, 0
    FROM rooms r, generate_series(1, 20) n WHERE r.id < 2000 ON CONFLICT DO NOTHING;
INSERT INTO events (room, "offset", sender, client_id, message, timestamp)
    SELECT r.id, n, 'user' || n, 'id' || n, 'text', 0
    FROM rooms r, generate_series(1, 100) n WHERE r.id BETWEEN 2 AND 500;
INSERT INTO audit (room, "offset", timestamp, by, action, reason, facts)
    SELECT r.id, n, 0, 'user1', 'kick', '', '{}'
    FROM rooms r, generate_series(1, 20) n WHERE r.id BETWEEN 2 AND 2000;
INSERT INTO sessions SELECT 's' || n, 'user' || n, decode(md5(n::text), 'hex'), 0, 0, 1e12, '', ''
    FROM generate_series(1, 50000) n;
INSERT INTO revocations SELECT 'r' || n, 1e12 FROM generate_series(1, 50000) n;
INSERT INTO tickets SELECT 't' || n, 1e12 FROM generate_series(1, 50000) n;
INSERT INTO bans (kind, value, until, reason, by, created_at)
    SELECT 'address', '192.0.2.' || n, 1e12, '', 'user1', 0 FROM generate_series(1, 50000) n;
"""
LARGE = {"accounts", "rooms", "members", "events", "audit", "sessions", "revocations", "tickets", "bans"}
COUNTED = ("accounts", "rooms.everyone")
"""Of the one room that everybody is in, a list says how many they are."""
ROOM, USER = RoomId("room10"), UserName("user84")
Asked = list[tuple[str, Any]]


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """A database with much in it, and what PostgreSQL has to know of it to plan well."""
    name = cluster.fresh()
    for statement in (*MUCH.split(";\n"), "ANALYZE"):
        if statement.strip():
            cluster.execute(statement, database=name)
    yield name
    cluster.drop(name)


@contextmanager
def listening() -> Iterator[Asked]:
    """Every statement that the store sends meanwhile, with its parameters."""
    asked: Asked = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        asked.append((statement, parameters[0] if many else parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def everyday(store: Store) -> None:
    """Handshakes, posts, pages, joins, marks and what the clocks ask for."""
    now = time.time()
    await store.account(USER)
    await store.session(b"nothing")
    await store.sessions(USER)
    await store.standing(USER, HOME, SessionId("s84"), "r5", now)
    await store.ended([(USER, HOME, SessionId("s84"), "r5"), (USER, HOME, None, None)] * 50, now)
    await store.touch_sessions([SessionId(f"s{number}") for number in range(50)], now)
    await store.use_ticket("new", now + 30)
    await store.revoke_token("new", now + 30)
    await store.append([post(f"{number}", f"client{number}", USER, ROOM) for number in range(50)])
    await store.append([change(USER, Action.JOIN, RoomId("room12"))])
    await store.events(ROOM, 90, 50)
    await store.events_before(ROOM, None, 50)
    await store.newest([RoomId(f"room{number}") for number in range(50)])
    await store.room(ROOM)
    await store.entry(ROOM, USER)
    await store.members(ROOM)
    await store.listing(ROOM, USER)
    await store.listings(USER, False)
    await store.mark_read([(ROOM, USER, 50)])
    await store.audit(ROOM, None, 50)


def scanned(plan: dict[str, Any]) -> set[str]:
    """The tables that a plan reads from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(scanned(part) for part in plan.get("Plans", [])))


def whole(cluster: Cluster, name: str, asked: Asked) -> set[tuple[str, str]]:
    """(Table, statement) wherever one of the large tables is read whole."""
    found: set[tuple[str, str]] = set()
    engine = connect(cluster.url(name), 20.0, writes=True)
    with engine.connect() as connection:
        for statement, parameters in asked:
            (explained,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).one()
            found |= {(table, statement) for table in scanned(explained[0]["Plan"]) & LARGE}
    engine.dispose()
    return {(table, text) for table, text in found if table != COUNTED[0] or COUNTED[1] not in text}


async def test_no_everyday_statement_reads_a_large_table_whole(cluster: Cluster, name: str) -> None:
    """Each finds its rows by an index, also those that ask for fifty at once."""
    async with opened(cluster.url(name)) as store:
        with listening() as asked:
            await everyday(store)
    assert len(asked) > 20
    assert whole(cluster, name, asked) == set()


def test_a_statement_that_does_is_found(cluster: Cluster, name: str) -> None:
    """The check can fail."""
    statement = "SELECT count(*) FROM events WHERE message = %(text)s"
    assert whole(cluster, name, [(statement, {"text": "x"})]) == {("events", statement)}
