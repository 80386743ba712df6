"""Where the tests' stores come from: files, or databases of one PostgreSQL server."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Protocol

from app.store import Store
from app.store_sqlite import database_path
from tests.postgres import EMPTY, OWNER, Cluster, database_of


class Shelf(Protocol):
    """A source of stores, named by their URLs."""

    def fresh(self) -> str:
        """An empty, migrated store."""

    def migrated(self) -> str:
        """The same, with an epoch of its own."""

    def copy(self, url: str) -> str:
        """A store like one that nobody has open."""

    def drop(self, url: str) -> None:
        """Take a store away."""


class SqliteShelf:
    """Files in a folder; copies of the first one spare each test the migration."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._first = self.migrated()

    def fresh(self) -> str:
        """See Shelf."""
        return self.copy(self._first)

    def migrated(self) -> str:
        """See Shelf."""
        url = self._next()
        Store.migrate(url)
        return url

    def copy(self, url: str) -> str:
        """See Shelf."""
        other = self._next()
        shutil.copy(database_path(url), database_path(other))
        return other

    def drop(self, url: str) -> None:
        """See Shelf."""
        path = database_path(url)
        shutil.rmtree(path.parent, ignore_errors=True)

    def _next(self) -> str:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return f"sqlite:///{folder}/chat.db"


class PostgresShelf:
    """Databases, used in the role that a running server has: its rights suffice for everything that is tested."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def fresh(self) -> str:
        """See Shelf."""
        return self._cluster.url(self._cluster.fresh())

    def migrated(self) -> str:
        """See Shelf."""
        name = self._cluster.fresh(EMPTY)
        Store.migrate(self._cluster.url(name, OWNER))
        return self._cluster.url(name)

    def copy(self, url: str) -> str:
        """See Shelf."""
        return self._cluster.url(self._cluster.fresh(database_of(url)))

    def drop(self, url: str) -> None:
        """See Shelf."""
        self._cluster.drop(database_of(url))
