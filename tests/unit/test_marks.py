"""Marks are written down together, and none is lost but by a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.marks import Marks
from app.model import DEFAULT_ROOM, Post, UserName
from app.settings import Settings
from app.store import Store, StoreDown
from tests.unit.party import party

ANN, BOB = UserName("ann"), UserName("bob")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """With five messages of bob's in the default room."""
    store = Store(f"sqlite:///{tmp_path}/chat.db", 5.0)
    Store.migrate(f"sqlite:///{tmp_path}/chat.db")
    await store.open()
    for name in (ANN, BOB):
        await store.create_account(name, "!")
    await store.append([Post(DEFAULT_ROOM, BOB, "hi") for _ in range(5)])
    yield store
    await store.close()


async def read(store: Store) -> int:
    """How far ann has read, as it is written down."""
    listing = await store.listing(DEFAULT_ROOM, ANN)
    assert listing is not None
    return listing.read


async def test_marks_are_kept_until_they_are_stored(store: Store) -> None:
    """Only the highest of a user and room; an outage forgets none."""
    marks = Marks(store)
    for offset in (2, 4, 3):
        marks.put(DEFAULT_ROOM, ANN, offset)
    await store.close()
    with pytest.raises(StoreDown):
        await marks.flush()
    await store.open()
    await marks.flush()
    assert await read(store) == 4


async def test_a_mark_that_moves_while_it_is_stored_is_stored_again(store: Store) -> None:
    """The next time; another user's is not needed for it."""
    marks = Marks(store)
    marks.put(DEFAULT_ROOM, ANN, 2)
    storing = asyncio.create_task(marks.flush())
    await asyncio.sleep(0)
    marks.put(DEFAULT_ROOM, ANN, 3)
    await storing
    assert await read(store) == 2
    await marks.settle(BOB)
    assert await read(store) == 2
    await marks.settle(ANN)
    assert await read(store) == 3


async def test_a_stop_writes_down_what_waits(tmp_path: Path) -> None:
    """The last second's reading is not lost."""
    async with party(tmp_path) as server:
        await server.backends.store.create_account(ANN, "!")
        await server.backends.store.append([Post(DEFAULT_ROOM, BOB, "hi")])
        server.backends.marks.put(DEFAULT_ROOM, ANN, 1)
    store = Store(Settings(state=tmp_path).database, 5.0)
    await store.open()
    try:
        assert await read(store) == 1
    finally:
        await store.close()
