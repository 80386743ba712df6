"""A store in a file of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.store import Store


def migrated(folder: Path) -> Path:
    """The file of an empty, migrated store."""
    path = folder / "chat.db"
    Store.migrate(f"sqlite:///{path}")
    return path


@asynccontextmanager
async def opened(path: Path, seconds: float = 20.0) -> AsyncIterator[Store]:
    """A store that is closed whatever happens."""
    store = Store(f"sqlite:///{path}", seconds)
    try:
        await store.open()
        yield store
    finally:
        await store.close()
