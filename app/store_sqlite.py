"""SQLite behind the store: one file, one writer at a time, one process."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from app.lock import StoreLock

_STATEMENTS_CACHED = 256
_WAL_BYTES_KEPT = 64 * 1024 * 1024
_WAIT_SECONDS = 60.0


def database_path(url: str) -> Path:
    """The file of a `sqlite:///PATH` URL. ValueError for anything else."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or not parts.database or parts.database == ":memory:":
        raise ValueError(f"{parts.render_as_string()} is not sqlite:///PATH")
    return Path(parts.database)


def is_absent(url: str) -> bool:
    """Whether there is no database yet that a connection could be made to."""
    return not database_path(url).exists()


def lock_path(url: str) -> Path | None:
    """Where the lock lies that keeps a second process off: file locks would let it write, but nobody tells readers."""
    path = database_path(url)
    return path.with_name(path.name + ".lock")


def check(_connection: Connection) -> None:
    """A file has no settings of its own that could be wrong."""


def connect(
    url: str,
    busy_seconds: float,
    connections: int = 1,
    *,
    writes: bool = False,
    alone: bool = False,  # noqa: ARG001 - whoever serves the file holds a lock beside it
    password_file: Path | None = None,  # noqa: ARG001 - a file has no password
) -> Engine:
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

    engine = create_engine(url, creator=open_file, pool_size=connections, max_overflow=0, hide_parameters=True)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_writing if writes else _begin_reading)
    return engine


@contextmanager
def migrating(url: str, password_file: Path | None, role: str) -> Iterator[Connection]:  # noqa: ARG001
    """A transaction for whoever migrates, alone. Raises StoreLocked when another migration does not end.

    The database is made where it is not there, readable by its owner only (0600).
    """
    path = database_path(url)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with StoreLock(path.with_name(path.name + ".migrating"), _WAIT_SECONDS):
        # SQLite gives its -wal and -shm files the mode of the database itself.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = connect(url, _WAIT_SECONDS, writes=True)
        try:
            with engine.connect() as connection, connection.begin():
                yield connection
        finally:
            engine.dispose()


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
