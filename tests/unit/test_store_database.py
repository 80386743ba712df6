"""A store on a faulty disk, a locked or lost file, a full queue: StoreDown, and fine again afterwards."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from app.model import DEFAULT_ROOM, Post, Stored, UserName
from app.store import SchemaAhead, SchemaBehind, Store, StoreDown
from app.store_database import Database
from app.store_lane import Lane
from app.store_sqlite import connect, database_path
from tests.unit.sqlite_store import migrated, opened

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an empty, migrated store."""
    return migrated(tmp_path)


def posts(count: int, size: int = 10) -> list[Post]:
    """Posts without ids."""
    return [Post(DEFAULT_ROOM, UserName("ann"), "x" * size) for _ in range(count)]


async def recovered(store: Store, offset: int) -> None:
    """The next post gets the next offset, and nothing is missing before it."""
    (stored,) = await store.append(posts(1))
    assert isinstance(stored, Stored)
    assert stored.event.offset == offset
    assert [event.offset for event in await store.events(DEFAULT_ROOM, 0, 1000)] == list(range(1, offset + 1))


def test_the_database_and_its_journal_are_readable_by_their_owner_only(path: Path) -> None:
    """Password hashes and messages are nobody else's."""
    engine = connect(f"sqlite:///{path}", 1.0)
    with engine.connect() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = value")
        connection.commit()
        names = sorted(file.name for file in path.parent.glob("chat.db*"))
        assert {"chat.db", "chat.db-shm", "chat.db-wal"} <= set(names)
        assert {stat.S_IMODE((path.parent / name).stat().st_mode) for name in names} == {0o600}
    engine.dispose()


def test_connections_are_durable_and_strict(path: Path) -> None:
    """WAL, synchronous=FULL, foreign keys on, the given patience with locks."""
    engine = connect(f"sqlite:///{path}", 1.5)
    with engine.connect() as connection:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 1500}
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
    engine.dispose()
    assert found == wanted


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://db/chat"])
def test_only_files_are_stores(url: str) -> None:
    """A store in memory would be gone with its process."""
    with pytest.raises(ValueError, match="is not sqlite:///PATH"):
        database_path(url)


async def test_a_database_that_was_never_migrated_does_not_open(tmp_path: Path) -> None:
    """Neither a missing file nor an empty one; nothing is created."""
    path = tmp_path / "chat.db"
    with pytest.raises(SchemaBehind, match="does not exist yet"):
        async with opened(path):
            pass
    assert not path.exists()
    path.touch()
    with pytest.raises(SchemaBehind, match="schema none, needed"):
        async with opened(path):
            pass


@pytest.mark.parametrize(("revision", "error"), [("0000", SchemaBehind), ("9999", SchemaAhead)])
async def test_a_database_of_another_release_does_not_open(path: Path, revision: str, error: type[Exception]) -> None:
    """The sentence says which way round it is."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(error, match=revision):
        async with opened(path):
            pass


async def test_a_lock_that_outlasts_the_patience_is_an_outage(path: Path) -> None:
    """Reads go on meanwhile; afterwards writes do too, without a gap."""
    async with opened(path, 2.0) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreDown, match="locked") as caught:
                await store.append(posts(3))
            assert isinstance(caught.value.__cause__, OperationalError)
            assert await store.events(DEFAULT_ROOM, 0, 10) == []
            other.execute("ROLLBACK")
        await recovered(store, 1)


async def test_a_full_database_is_an_outage_and_leaves_no_gap(path: Path) -> None:
    """SQLITE_FULL in the middle of a batch stores nothing of it."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count=40")

    event.listen(Engine, "connect", limit)
    try:
        async with opened(path) as store:
            await store.append(posts(1))
            with pytest.raises(StoreDown, match="full"):
                await store.append(posts(500, 1000))
            event.remove(Engine, "connect", limit)
            await recovered(store, 2)
            assert len(await store.append(posts(500, 1000))) == 500
    finally:
        if event.contains(Engine, "connect", limit):
            event.remove(Engine, "connect", limit)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses writes beyond `size` (EFBIG; Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_that_refuses_a_write_is_an_outage_and_leaves_no_gap(path: Path) -> None:
    """The write fails in the kernel, in the middle of the journal."""
    async with opened(path) as store:
        await store.append(posts(1))
        with files_no_larger_than(200_000), pytest.raises(StoreDown) as caught:
            await store.append(posts(500, 1000))
        assert isinstance(caught.value.__cause__, DBAPIError)
        await recovered(store, 2)
        assert len(await store.append(posts(500, 1000))) == 500


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write in the folder, root included: it becomes another user meanwhile."""
    modes = {file: stat.S_IMODE(file.stat().st_mode) for file in [folder, *folder.iterdir()]}
    user = os.geteuid()
    for file in modes:
        file.chmod(0o555 if file == folder else 0o444)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        for file, mode in modes.items():
            file.chmod(mode)


async def test_a_read_only_database_is_an_outage_until_it_is_writable_again() -> None:
    """Reads go on; the fault drops the connection, so that the next write sees the file as it is by then."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "chat.db"
        Store.migrate(f"sqlite:///{path}")
        async with opened(path) as keeps_the_journal:
            await keeps_the_journal.append(posts(1))
            store = Store(f"sqlite:///{path}", 20.0)
            with read_only(Path(folder)):
                await store.open()
                with pytest.raises(StoreDown, match="readonly"):
                    await store.append(posts(1))
                assert len(await store.events(DEFAULT_ROOM, 0, 10)) == 1
            await recovered(store, 2)
            await store.close()


def test_a_store_that_was_moved_away_is_not_created_anew(path: Path) -> None:
    """An empty store in its place would hand out old offsets again."""
    engine = connect(f"sqlite:///{path}", 1.0)
    path.rename(path.with_name("hidden"))
    with pytest.raises(OperationalError, match="unable to open"):
        engine.connect()
    assert not path.exists()


async def test_what_is_not_a_database_is_an_outage(tmp_path: Path) -> None:
    """Migrating, opening: both say so, neither writes to it."""
    path = tmp_path / "chat.db"
    path.write_bytes(b"these are not the pages you are looking for\n" * 200)
    content = path.read_bytes()
    with pytest.raises(StoreDown, match="not a database"):
        Store.migrate(f"sqlite:///{path}")
    with pytest.raises(StoreDown, match="not a database"):
        async with opened(path):
            pass
    assert path.read_bytes() == content


class Wrong(Database):
    """A database with bugs in its callers."""

    async def misspelled(self) -> None:
        """Not SQL."""
        await self._read(lambda connection: connection.exec_driver_sql("SELEC 1"))

    async def crashing(self) -> None:
        """A bug in Python, in the middle of a transaction."""
        await self._write(self._crash)

    @staticmethod
    def _crash(connection: Connection) -> None:
        connection.exec_driver_sql("DELETE FROM rooms")
        raise ZeroDivisionError


async def test_bugs_are_not_outages_and_change_nothing(path: Path) -> None:
    """They raise as themselves; their transaction is undone."""
    wrong = Wrong(f"sqlite:///{path}", 20.0)
    await wrong.open()
    try:
        with pytest.raises(OperationalError, match="syntax error"):
            await wrong.misspelled()
        with pytest.raises(ZeroDivisionError):
            await wrong.crashing()
        await wrong.ping()
    finally:
        await wrong.close()
    async with opened(path) as store:
        assert await store.room(DEFAULT_ROOM) is not None


async def test_a_lane_drops_what_it_could_not_begin_in_time() -> None:
    """The caller is told, and a stalled disk has no backlog when it comes back."""
    lane, held, begun, ran = Lane("writer", 1, 8, 0.2), threading.Event(), threading.Event(), []

    def hold() -> None:
        begun.set()
        held.wait(20)

    first = asyncio.create_task(lane.run(hold))
    await asyncio.to_thread(begun.wait, 20)
    second = asyncio.create_task(lane.run(lambda: ran.append("late")))
    answers = await asyncio.gather(first, second, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["no answer from the writer in 0.2 s"] * 2
    assert all(isinstance(answer, StoreDown) for answer in answers)
    held.set()
    assert await lane.run(lambda: "next") == "next"
    assert ran == []
    await asyncio.to_thread(lane.shut)


async def test_a_lane_refuses_more_than_it_has_places_for() -> None:
    """Refused at once, and a place that was left can be taken again."""
    lane, held = Lane("writer", 1, 1, 20.0), threading.Event()
    tasks = [asyncio.create_task(lane.run(lambda: held.wait(20))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StoreDown, match="too much work"):
        await lane.run(lambda: True)
    held.set()
    assert await asyncio.gather(*tasks) == [True, True]
    assert await lane.run(lambda: True)
    await asyncio.to_thread(lane.shut)
    for _ in range(3):
        with pytest.raises(StoreDown, match="closed"):
            await lane.run(lambda: True)


async def test_a_caller_that_is_cancelled_leaves_the_store_working(path: Path) -> None:
    """Its post may or may not be stored; offsets stay consecutive."""
    async with opened(path) as store:
        task = asyncio.create_task(store.append(posts(5)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (stored,) = await store.append(posts(1))
        assert isinstance(stored, Stored)
        assert stored.event.offset in {1, 6}
        await recovered(store, stored.event.offset + 1)
