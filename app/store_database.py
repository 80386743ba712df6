"""The database behind the store: its connections, its threads, and what counts as an outage."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, inspect, make_url, select
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.sql import column, table

from app.store_schema import HEAD, meta

P = ParamSpec("P")
T = TypeVar("T")

Observe = Callable[[str, float], None]
"""Told a verb and the seconds that it took, its wait for a thread included."""

_READERS = 4
_READS_WAITING = 4096
_WRITES_WAITING = 1024
_STATEMENTS_CACHED = 256
_WAL_BYTES_KEPT = 64 * 1024 * 1024


class StoreDown(Exception):  # noqa: N818
    """The store could not be reached or did not commit in time; whether it wrote anything is unknown."""


class SchemaMismatch(Exception):  # noqa: N818
    """The database's tables are not those of this code; the message is the sentence to show."""


class SchemaBehind(SchemaMismatch):
    """The database has to be migrated first."""


class SchemaAhead(SchemaMismatch):
    """The database was migrated by a newer release."""


class Lane:
    """Threads of its own behind a bounded queue, so that a stalled disk collects neither work nor memory."""

    def __init__(self, name: str, threads: int, waiting: int, timeout: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = BoundedSemaphore(threads + waiting)
        self._timeout = timeout
        self._name = name

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in a thread. StoreDown when the queue is full or the time-out passes first.

        Work that no thread has begun by then is dropped; work that was begun goes on and its outcome is unknown.
        """
        if not self._places.acquire(blocking=False):
            raise StoreDown(f"too much work is waiting for the {self._name}")
        future = self._submit(work)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise StoreDown(f"no answer from the {self._name} in {self._timeout:g} s") from error

    def shut(self) -> None:
        """Finish what was begun, drop the rest. Blocks."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        try:
            future = self._pool.submit(work)
        except RuntimeError as error:
            self._places.release()
            raise StoreDown("the store is closed") from error
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _future: Future[Any]) -> None:
        self._places.release()


class Side(NamedTuple):
    """Where writes go, or reads. Apart, so that a writer never meets a connection that was opened read-only."""

    lane: Lane
    engine: Engine


class Database:
    """One writer thread and a few readers; every call is a single hop to a thread and back."""

    def __init__(self, url: str, timeout: float, observe: Observe | None = None) -> None:
        self._url = url
        self._timeout = timeout
        self._observe = observe
        self._writer: Side | None = None
        self._readers: Side | None = None

    async def open(self) -> None:
        """Connect and check the schema. Raises StoreDown, SchemaBehind, SchemaAhead."""
        if not database_path(self._url).exists():
            raise SchemaBehind("The database does not exist yet: run `python -m app migrate`.")
        # A lock that another process holds must fail before the caller's time-out does, or the writer lags behind it.
        busy = self._timeout * 0.8
        self._writer = Side(
            Lane("store writer", 1, _WRITES_WAITING, self._timeout), connect(self._url, busy, 1, writes=True)
        )
        self._readers = Side(
            Lane("store readers", _READERS, _READS_WAITING, self._timeout), connect(self._url, busy, _READERS)
        )
        try:
            check_schema(await self._read(schema_revision))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was begun and close every connection. Harmless when repeated."""
        sides = [side for side in (self._writer, self._readers) if side is not None]
        self._writer = self._readers = None
        for side in sides:
            await asyncio.to_thread(side.lane.shut)
            side.engine.dispose()

    async def ping(self) -> None:
        """Read one row. Raises StoreDown."""
        await self._read(_ping)

    async def ping_write(self) -> None:
        """Write one row, to disk. Raises StoreDown."""
        await self._write(_ping_write)

    async def _read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a connection that sees one snapshot."""
        return await self._run(self._readers, work, *args, **kwargs)

    async def _write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` as one transaction, after every write that was asked for before it."""
        return await self._run(self._writer, work, *args, **kwargs)

    async def _run(
        self, side: Side | None, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if side is None:
            raise StoreDown("the store is not open")
        began = time.perf_counter()
        try:
            return await side.lane.run(partial(_transact, side.engine, work, *args, **kwargs))
        finally:
            if self._observe is not None:
                self._observe(work.__name__, time.perf_counter() - began)


def database_path(url: str) -> Path:
    """The file of a `sqlite:///PATH` URL. ValueError for anything else."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or not parts.database or parts.database == ":memory:":
        raise ValueError(f"{parts.render_as_string()} is not sqlite:///PATH")
    return Path(parts.database)


def connect(url: str, busy_seconds: float, connections: int = 1, *, writes: bool = False) -> Engine:
    """An engine whose transactions are real: BEGIN IMMEDIATE when it writes, else BEGIN for one snapshot.

    Deferred, a transaction that read first and wrote later would fail on any other writer in between. The file must
    exist (`mode=rw`): a store that was moved away is an outage, not an empty store.
    """
    name = f"file:{quote(str(database_path(url).absolute()))}?mode=rw"

    def open_file() -> sqlite3.Connection:
        return sqlite3.connect(
            name,
            uri=True,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS_CACHED,
        )

    engine = create_engine(url, creator=open_file, pool_size=connections, max_overflow=0)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_writing if writes else _begin_reading)
    return engine


def check_schema(found: str | None) -> None:
    """Raises SchemaBehind or SchemaAhead when the database's revision is not this code's."""
    if found is not None and found > HEAD:
        raise SchemaAhead(
            f"The database is of a newer release (schema {found}, this release knows {HEAD}): "
            "install that release, or restore a backup of this one."
        )
    if found != HEAD:
        raise SchemaBehind(
            f"The database is of an older release (schema {found or 'none'}, needed {HEAD}): "
            "run `python -m app migrate`."
        )


def schema_revision(connection: Connection) -> str | None:
    """The migration that the database is at, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(select(column("version_num")).select_from(table("alembic_version"))).scalar()


def is_outage(error: DBAPIError) -> bool:
    """Whether the database failed, rather than the code that called it.

    SQLite says SQLITE_ERROR (1) for a wrong statement and another code for every fault of file, disk or lock; a broken
    constraint, a wrong type or a misused API have exceptions of their own (PEP 249).
    """
    if isinstance(error, IntegrityError | DataError | ProgrammingError | NotSupportedError):
        return False
    return getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR


def _transact(
    engine: Engine,
    work: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    try:
        with engine.connect() as connection:
            try:
                with connection.begin():
                    return work(connection, *args, **kwargs)
            except DBAPIError as error:
                if is_outage(error):
                    # The next call starts on a connection that has not seen this fault.
                    connection.invalidate(error)
                raise
    except DBAPIError as error:
        if is_outage(error):
            raise StoreDown(f"the database failed: {error.orig}") from error
        raise


def _ping(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1 FROM meta")


def _ping_write(connection: Connection) -> None:
    """SQLite writes nothing when a row stays as it was: it says when it was written."""
    connection.execute(delete(meta).where(meta.c.name == "written"))
    connection.execute(insert(meta).values(name="written", value=str(time.time())))


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    """FULL: a commit is on disk before it is acked. journal_size_limit: a WAL that grew once shrinks again."""
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
        f"PRAGMA journal_size_limit={_WAL_BYTES_KEPT}"
    )


def _begin_writing(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
