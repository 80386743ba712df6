"""What the role of the running server may do in PostgreSQL: exactly what the store's verbs do."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, column, func, select, table

_MAY: Final = {
    "alembic_version": "SELECT",
    "meta": "SELECT, INSERT, UPDATE",
    "rooms": "SELECT, INSERT, UPDATE",
    "members": "SELECT, INSERT, UPDATE",
    "events": "SELECT, INSERT, UPDATE, DELETE",
    "audit": "SELECT, INSERT",
    "accounts": "SELECT, INSERT, UPDATE",
    "sessions": "SELECT, INSERT, UPDATE, DELETE",
    "revocations": "SELECT, INSERT, DELETE",
    "tickets": "SELECT, INSERT, DELETE",
    "bans": "SELECT, INSERT, DELETE",
}
_ROLE: Final = select(func.current_schema()).where(
    select(column("rolname"))
    .select_from(table("pg_roles"))
    .where(column("rolname") == bindparam("role"), column("rolname") != func.current_user())
    .exists()
)


def grant(connection: Connection, role: str) -> None:
    """Let `role` work with the tables of this schema and take everything else there from it.

    Nothing to do where there is no such role, or where it is the one that migrates.
    """
    found = connection.execute(_ROLE, {"role": role}).scalar_one_or_none()
    if found is None:
        return
    quote = connection.dialect.identifier_preparer.quote_identifier
    schema, name = quote(found), quote(role)
    for statement in (
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {name}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {name}",
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {name}",
        f"GRANT USAGE ON SCHEMA {schema} TO {name}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {name}",
        *(f"GRANT {rights} ON {schema}.{quote(one)} TO {name}" for one, rights in _MAY.items()),
    ):
        connection.exec_driver_sql(statement)
