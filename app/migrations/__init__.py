"""Brings a database to the schema of this code: numbered steps, each run once, forward only."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.store_database import check_schema, kind_of, schema_revision
from app.store_faults import SchemaBehind, StoreDown, is_outage


def migrate(url: str, password_file: Path | None = None, role: str = "portcullis") -> None:
    """Create the tables or bring them up to date, all or nothing. Blocks; harmless when repeated, or run twice at once.

    A SQLite file is made where it is not there; a PostgreSQL database must be. There `role`, where it is not the one
    that migrates, is given exactly the rights that the running server needs. Raises SchemaAhead for the database of a
    newer release, StoreLocked when another migration does not end, StoreDown when the database cannot be read or
    written, Unfit when its server cannot be relied on.
    """
    try:
        with kind_of(url).migrating(url, password_file, role) as connection:
            _upgrade(connection)
    except DBAPIError as error:
        if is_outage(error):
            raise StoreDown(f"the database cannot be migrated: {error.orig}") from error
        raise


def _upgrade(connection: Connection) -> None:
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
