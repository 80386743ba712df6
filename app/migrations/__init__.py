"""Brings a database to the schema of this code: numbered steps, each run once, forward only."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.lock import StoreLock
from app.store_database import (
    SchemaBehind,
    StoreDown,
    check_schema,
    connect,
    database_path,
    is_outage,
    schema_revision,
)

_WAIT_SECONDS = 60.0


def migrate(url: str) -> None:
    """Create the database or bring it up to date. Blocks; harmless when repeated, or run twice at once.

    The database is readable by its owner only (0600). Raises SchemaAhead for the database of a newer release,
    StoreLocked when another migration does not end, StoreDown when the database cannot be read or written.
    """
    path = database_path(url)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with StoreLock(path.with_name(path.name + ".migrating"), _WAIT_SECONDS):
        # SQLite gives its -wal and -shm files the mode of the database itself.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = connect(url, _WAIT_SECONDS, writes=True)
        try:
            _upgrade(engine)
        except DBAPIError as error:
            if is_outage(error):
                raise StoreDown(f"the database cannot be migrated: {error.orig}") from error
            raise
        finally:
            engine.dispose()


def _upgrade(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin():
        try:
            check_schema(schema_revision(connection))
        except SchemaBehind:
            pass
        else:
            return
        # A server that starts needs no Alembic: 60 ms and 9 MiB.
        from alembic import command  # noqa: PLC0415
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
