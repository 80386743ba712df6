"""An empty store of each backend, for every test anew. PostgreSQL joins by one more entry in BACKENDS."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.store import Store
from tests.contract.house import furnish, opened

BACKENDS = ("sqlite",)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store; copies of it spare each test the migration."""
    path = tmp_path_factory.mktemp("migrated") / "chat.db"
    Store.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> str:
    """The URL of an empty, migrated store."""
    assert request.param == "sqlite"
    path = tmp_path / "data" / "chat.db"
    path.parent.mkdir()
    shutil.copy(migrated, path)
    return f"sqlite:///{path}"


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
