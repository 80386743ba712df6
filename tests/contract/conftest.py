"""An empty store of each backend, for every test anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from app.store import Store
from tests.contract.house import furnish, opened
from tests.contract.shelves import PostgresShelf, Shelf, SqliteShelf

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session", params=BACKENDS)
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Where empty stores of one backend come from."""
    if request.param == "sqlite":
        return SqliteShelf(tmp_path_factory.mktemp("stores"))
    return PostgresShelf(request.getfixturevalue("cluster"))


@pytest.fixture
def url(shelf: Shelf) -> Iterator[str]:
    """The URL of an empty, migrated store."""
    url = shelf.fresh()
    yield url
    shelf.drop(url)


@pytest.fixture
def other_url(shelf: Shelf) -> Iterator[str]:
    """The URL of a store that was migrated by itself."""
    url = shelf.migrated()
    yield url
    shelf.drop(url)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An open store."""
    async with opened(url) as store:
        yield store


@pytest.fixture
async def den(store: Store) -> Store:
    """The store with the furnished private room."""
    await furnish(store)
    return store
