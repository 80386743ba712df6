"""PostgreSQL behind the store: shared by several processes, whose writers take turns by the rows of rooms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select

from app.secret_files import read_secret
from app.settings import SettingsError
from app.store_faults import StoreDown, StoreTaken, Unfit
from app.store_grants import grant

_MIGRATING: Final = 0x706F7274
"""Of the advisory lock that keeps two migrations apart: an arbitrary number, the same in every release."""
_SERVING: Final = 0x706F7275
"""Of the advisory lock that a process holds which serves the database alone."""
_WAIT_SECONDS = 60.0
_LEAST_CONNECT_SECONDS = 2
_DEAD_PEER: Final = {
    # A server that vanished without a word is noticed within about 10 s, with and without bytes on their way to it.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_DEAD_CLIENT: Final = {
    # The same for the server, which holds the locks of a client that vanished until it notices.
    "tcp_keepalives_idle": 4,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_PLANNED: Final = {
    # The default is that of a spinning disk: to find the room of one post, a server with 20,000 of them reads all.
    "random_page_cost": 1.1,
}
_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
)
_READ_ONLY: Final = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
_SERVER: Final = select(func.current_setting("server_encoding"), func.current_setting("fsync"))


class Doubtful(psycopg.OperationalError):
    """The server answered a commit with a warning: it gave up waiting for a standby, and a promotion may undo it."""


class DurableConnection(psycopg.Connection[Any]):
    """Its commits are known to be on disk, and on as many standbys as the server waits for, or they raise."""

    def commit(self) -> None:
        """Raises Doubtful where the server only warns."""
        warnings: list[str] = []

        def note(notice: psycopg.errors.Diagnostic) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.message_primary or "")

        self.add_notice_handler(note)
        try:
            super().commit()
        finally:
            self.remove_notice_handler(note)
        if warnings:
            raise Doubtful(warnings[0])


def is_absent(_url: str) -> bool:
    """A connection says so better."""
    return False


def lock_path(_url: str) -> Path | None:
    """None: several processes share it."""
    return None


def check(connection: Connection) -> None:
    """Raises Unfit for a server that loses what it acked, or cannot hold every text."""
    encoding, fsync = connection.execute(_SERVER).one()
    if fsync != "on":
        raise Unfit("The PostgreSQL server runs with fsync=off and would lose messages in a power failure: turn it on.")
    if encoding != "UTF8":
        raise Unfit(f"The database has the encoding {encoding}: create one with ENCODING 'UTF8'.")


def connect(
    url: str,
    busy_seconds: float,
    connections: int = 1,
    *,
    writes: bool = False,
    alone: bool = False,
    password_file: Path | None = None,
) -> Engine:
    """An engine with at most that many connections, each of whose waits ends after `busy_seconds`.

    With `alone` each holds a lock that only one connection to the database can hold, or raises StoreTaken.

    Writing transactions are READ COMMITTED: what they read behind a row's lock is what its last holder left. A read is
    one statement, which sees one snapshot by itself: with a ping, BEGIN and COMMIT it would be four. The password is
    read anew for each connection, so that it may be replaced.
    """
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED" if writes else "AUTOCOMMIT",
        connect_args=_bounds(busy_seconds),
        pool_size=connections,
        max_overflow=0,
        # After an outage no first writer has to find out that its connection is dead; a reader asks again.
        pool_pre_ping=writes,
        hide_parameters=True,
    )
    event.listen(engine, "do_connect", partial(_connect, writes, alone, password_file))
    return engine


@contextmanager
def migrating(url: str, password_file: Path | None, role: str) -> Iterator[Connection]:
    """A transaction for whoever migrates, alone; at its end `role` may work with the tables, and no more.

    Raises Unfit. When another migration does not end, the error is an outage's.
    """
    engine = connect(url, _WAIT_SECONDS, writes=True, password_file=password_file)
    try:
        with engine.connect() as connection, connection.begin():
            check(connection)
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
            # An index on a large table takes as long as it takes; waiting for others stays bounded.
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            yield connection
            grant(connection, role)
    finally:
        engine.dispose()


def _bounds(busy_seconds: float) -> dict[str, Any]:
    """Settings of libpq (PostgreSQL 34.1.2) and of the session."""
    busy = math.ceil(busy_seconds * 1000)
    waits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    limits = dict.fromkeys(waits, busy) | _DEAD_CLIENT | _PLANNED
    return _DEAD_PEER | {
        "connect_timeout": max(_LEAST_CONNECT_SECONDS, math.ceil(busy_seconds)),
        "application_name": "portcullis",
        "client_encoding": "utf8",
        "options": " ".join(f"-c {limit}={value}" for limit, value in limits.items()),
    }


def _connect(
    writes: bool,
    alone: bool,
    password_file: Path | None,
    _dialect: object,
    _record: object,
    words: Any,
    options: Any,
) -> DurableConnection:
    if password_file is not None:
        options = options | {"password": _password(password_file)}
    connection = DurableConnection.connect(*words, **options, autocommit=True)
    # Whatever the server, the database or the role has as its default.
    connection.execute(_DURABLE)
    if alone and connection.execute("SELECT pg_try_advisory_lock(%s)", [_SERVING]).fetchone() != (True,):
        connection.close()
        raise StoreTaken(
            "Another server works on this database: stop it first, or give all of them a REDIS_URL to share."
        )
    if not writes:
        # Not in the options of the session: libpq would take it for one with a standby (target_session_attrs).
        connection.execute(_READ_ONLY)
    connection.autocommit = False
    connection.read_only = not writes
    return connection


def _password(file: Path) -> str:
    try:
        return read_secret(file).decode()
    except SettingsError as error:
        raise StoreDown(str(error)) from error
