"""A list of rows as one parameter of a statement.

It travels as JSON: the statement's text is the same for every length, and SQLite searches the index once for each row,
where a row-value IN makes it scan the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from json import dumps
from typing import Any

from sqlalchemy import ColumnElement, TableValuedAlias, Text, bindparam, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine


class JsonRows(GenericFunction[Any]):
    """The entries of a JSON list, as a table with the column `value`."""

    inherit_cache = True
    name = "json_rows"


class JsonEntry(GenericFunction[Any]):
    """One entry of a JSON list, by its place."""

    inherit_cache = True
    name = "json_entry"


def listed(name: str, *types: type[TypeEngine[Any]] | TypeEngine[Any]) -> tuple[TableValuedAlias, Sequence[Any]]:
    """A table made from the parameter `name`, and its columns; `as_list` makes the parameter's value."""
    table = JsonRows(bindparam(name, type_=Text)).table_valued("value", name=name)
    columns: list[ColumnElement[Any]] = [
        JsonEntry(table.c.value, literal_column(str(place)), type_=kind) for place, kind in enumerate(types)
    ]
    return table, columns


def as_list(rows: Iterable[Sequence[Any]]) -> str:
    """The value of a parameter that is such a list."""
    return dumps(list(rows))


@compiles(JsonRows, "sqlite")
def _sqlite_rows(element: JsonRows, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kwargs)})"


@compiles(JsonRows, "postgresql")
def _postgres_rows(element: JsonRows, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **kwargs)} AS JSON))"


@compiles(JsonEntry, "sqlite")
def _sqlite_entry(element: JsonEntry, compiler: SQLCompiler, **kwargs: Any) -> str:
    row, place = (compiler.process(part, **kwargs) for part in element.clauses)
    return f"json_extract({row}, '$[{place}]')"


@compiles(JsonEntry, "postgresql")
def _postgres_entry(element: JsonEntry, compiler: SQLCompiler, **kwargs: Any) -> str:
    row, place = (compiler.process(part, **kwargs) for part in element.clauses)
    return f"CAST({row} ->> {place} AS {compiler.dialect.type_compiler_instance.process(element.type)})"
