"""Posting until a store is down, and what has to be there once it is back."""

from __future__ import annotations

import asyncio
import time

from app.model import Stored
from app.store import Store, StoreDown
from tests.contract.house import everything, passes, post
from tests.patience import PATIENCE


async def recovered(store: Store) -> None:
    """Write until it can be written again."""
    async with asyncio.timeout(2 * PATIENCE):
        while True:
            try:
                await store.append([post("back")])
            except StoreDown:
                await asyncio.sleep(0.05)
            else:
                return


async def acked_until_down(store: Store, acked: dict[str, int]) -> None:
    """Post one batch after the other, noting what was acked, until the store is down."""
    while True:
        ids = [f"{len(acked) + n}-{time.monotonic_ns()}" for n in range(20)]
        try:
            answers = await passes(store, [post("x" * 200, name) for name in ids])
        except StoreDown:
            return
        acked.update(zip(ids, (stored.event.offset for stored in answers), strict=True))


async def acked_until(store: Store, acked: dict[str, int], count: int) -> None:
    """Post batches until so many posts are acked."""
    while len(acked) < count:
        ids = [f"{len(acked) + n}-{time.monotonic_ns()}" for n in range(20)]
        answers = await passes(store, [post("x" * 200, name) for name in ids])
        acked.update(zip(ids, (stored.event.offset for stored in answers), strict=True))


async def intact(store: Store, acked: dict[str, int]) -> None:
    """Every acked post is there under its offset, and no offset is missing."""
    events = await everything(store)
    assert [event.offset for event in events] == list(range(1, len(events) + 1))
    names = list(acked)
    for first in range(0, len(names), 500):
        again = await store.append([post("x" * 200, name) for name in names[first : first + 500]])
        for name, answer in zip(names[first : first + 500], again, strict=True):
            assert isinstance(answer, Stored)
            assert (answer.repeated, answer.event.offset) == (True, acked[name])
