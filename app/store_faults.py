"""What the store raises, and which errors of a database are outages rather than bugs."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError

_UNDONE: Final = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected (PostgreSQL, Appendix A)."""


class StoreDown(Exception):  # noqa: N818
    """The store could not be reached or did not commit in time; whether it wrote anything is unknown."""


class StoreTaken(StoreDown):
    """Another process serves this store alone; the message is the sentence to show."""


class SchemaMismatch(Exception):  # noqa: N818
    """The database's tables are not those of this code; the message is the sentence to show."""


class SchemaBehind(SchemaMismatch):
    """The database has to be migrated first."""


class SchemaAhead(SchemaMismatch):
    """The database was migrated by a newer release."""


class Unfit(SchemaMismatch):
    """The database server is set up so that it would lose or mangle what it is given."""


def is_outage(error: DBAPIError) -> bool:
    """Whether the database failed, rather than the code that called it.

    SQLite says SQLITE_ERROR (1) for a wrong statement and another code for every fault of file, disk or lock; a broken
    constraint, a wrong type, a misused API and, in PostgreSQL, a wrong statement have exceptions of their own.
    """
    if isinstance(error, IntegrityError | DataError | ProgrammingError | NotSupportedError):
        return False
    return getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR


def was_undone(error: DBAPIError) -> bool:
    """Whether the database says that it took the transaction back, so that the same one may be tried again."""
    return getattr(error.orig, "sqlstate", None) in _UNDONE


def was_unheard(error: DBAPIError) -> bool:
    """Whether what only reads may be asked again, because its connection was dead; or `was_undone`."""
    return error.connection_invalidated or was_undone(error)
