"""The database behind the store: its connections, its threads, and how one piece of work becomes a transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, Engine, inspect, make_url, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import column, table

from app import store_sqlite
from app.store_faults import SchemaAhead, SchemaBehind, StoreDown, StoreTaken, is_outage, was_undone, was_unheard
from app.store_lane import Lane
from app.store_schema import HEAD, meta

P = ParamSpec("P")
T = TypeVar("T")

Observe = Callable[[str, float], None]
"""Told a verb and the seconds that it took, its wait for a thread included."""

_READERS = 4
_READS_WAITING = 4096
_WRITES_WAITING = 1024
_TAKEN_SECONDS = 0.2
_ATTEMPTS = 4
"""Of a transaction that the database takes back: somebody else's went first."""
_WRITTEN = insert(meta)
_WRITE = _WRITTEN.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": _WRITTEN.excluded.value})


class Kind(Protocol):
    """What a kind of database is asked for; a module of its own answers."""

    def is_absent(self, url: str) -> bool:
        """Whether there is no database yet that a connection could be made to."""

    def lock_path(self, url: str) -> Path | None:
        """Where the lock lies that keeps a second process off; None where several share the store."""

    def check(self, connection: Connection) -> None:
        """Raises Unfit for a server that cannot be relied on."""

    def connect(
        self,
        url: str,
        busy_seconds: float,
        connections: int = 1,
        *,
        writes: bool = False,
        alone: bool = False,
        password_file: Path | None = None,
    ) -> Engine:
        """An engine that gives up waiting after `busy_seconds`."""

    def migrating(self, url: str, password_file: Path | None, role: str) -> AbstractContextManager[Connection]:
        """A transaction for whoever migrates, alone; at its end `role` may work with the tables."""


class Side(NamedTuple):
    """Where writes go, or reads. Apart, so that a writer never meets a connection that was opened read-only."""

    lane: Lane
    engine: Engine
    again: Callable[[DBAPIError], bool]
    """Whether work that failed so may be done again."""


def kind_of(url: str) -> Kind:
    """The kind of database that a URL names."""
    if make_url(url).get_backend_name() == "postgresql":
        # Who stores in a file needs no client library: 40 ms and 8 MiB.
        from app import store_postgres  # noqa: PLC0415

        return store_postgres
    return store_sqlite


class Database:
    """One writer thread and a few readers; every call is a single hop to a thread and back."""

    def __init__(
        self,
        url: str,
        timeout: float,
        observe: Observe | None = None,
        password_file: Path | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """`alone`: nobody else may write who asks for the same, where `lock_path` is None."""
        self._url = url
        self._timeout = timeout
        self._observe = observe
        self._password_file = password_file
        self._kind = kind_of(url)
        self._alone = alone and self._kind.lock_path(url) is None
        self._writer: Side | None = None
        self._readers: Side | None = None

    async def open(self, wait: float = 0.0) -> None:
        """Connect and check server and schema. Raises StoreDown, SchemaBehind, SchemaAhead, Unfit.

        Whoever serves the store alone may take `wait` seconds to end; then StoreTaken.
        """
        if self._kind.is_absent(self._url):
            raise SchemaBehind("The database does not exist yet: run `python -m app migrate`.")
        self._writer = self._side("store writer", 1, _WRITES_WAITING, writes=True)
        self._readers = self._side("store readers", _READERS, _READS_WAITING)
        try:
            await self._read(self._kind.check)
            check_schema(await self._read(schema_revision))
            if self._alone:
                await self._take(wait)
        except BaseException:
            await self.close()
            raise

    async def _take(self, wait: float) -> None:
        clock = asyncio.get_running_loop().time
        ends = clock() + wait
        while True:
            try:
                return await self._write(_ping_write)
            except StoreTaken:
                if clock() >= ends:
                    raise
                await asyncio.sleep(_TAKEN_SECONDS)

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
        """Run `work`, whose one statement sees one snapshot, on a connection that cannot write."""
        return await self._run(self._readers, work, *args, **kwargs)

    async def _write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` as one transaction, after every write that was asked for before it."""
        return await self._run(self._writer, work, *args, **kwargs)

    def _side(self, name: str, threads: int, waiting: int, *, writes: bool = False) -> Side:
        # A lock that another process holds must fail before the caller's time-out does, or the writer lags behind it.
        busy = self._timeout * 0.8
        alone = writes and self._alone
        password_file = self._password_file
        engine = self._kind.connect(self._url, busy, threads, writes=writes, alone=alone, password_file=password_file)
        return Side(Lane(name, threads, waiting, self._timeout), engine, was_undone if writes else was_unheard)

    async def _run(
        self, side: Side | None, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if side is None:
            raise StoreDown("the store is not open")
        began = time.perf_counter()
        try:
            return await side.lane.run(partial(_transact, side, work, *args, **kwargs))
        finally:
            if self._observe is not None:
                self._observe(work.__name__, time.perf_counter() - began)


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


def _transact(
    side: Side,
    work: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `work`, and again where nothing of it was stored or answered: the database took its transaction back, or it
    was a question on a connection that was dead, after which the engine trusts none that is as old."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            return _attempt(side.engine, work, *args, **kwargs)
        except DBAPIError as error:
            if attempts_left and side.again(error):
                continue
            if is_outage(error):
                raise StoreDown(f"the database failed: {error.orig}") from error
            raise
    raise AssertionError("the last attempt returns or raises")


def _attempt(
    engine: Engine,
    work: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    with engine.connect() as connection:
        try:
            with connection.begin():
                return work(connection, *args, **kwargs)
        except DBAPIError as error:
            if is_outage(error) and not was_undone(error):
                # The next call starts on a connection that has not seen this fault.
                connection.invalidate(error)
            raise


def _ping(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1 FROM meta")


def _ping_write(connection: Connection) -> None:
    """SQLite writes nothing when a row stays as it was: it says when it was written."""
    connection.execute(_WRITE, {"name": "written", "value": str(time.time())})
