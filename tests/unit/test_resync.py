"""What nobody told this process is found out from the store."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from app import hub as hub_module
from app import resync as module
from app.model import DEFAULT_ROOM, Entry, Post, UserName
from app.roles import Role
from app.verdict import CloseCode
from tests.unit.live import PaperWire, connection, eventually
from tests.unit.party import Party, party

ANN = UserName("ann")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CUT_OFF", 0.01)
    monkeypatch.setattr(hub_module, "_HOLD", 0.01)


async def member(server: Party) -> PaperWire:
    """A live member of the default room, whose account and token are in order."""
    await server.account("ann")
    ann, wire = connection(session=None)
    state = await server.backends.store.room(DEFAULT_ROOM)
    assert state is not None
    server.backends.hub.add(ann)
    server.backends.hub.open(state).join(ann, Entry(state, Role.MEMBER))
    return wire


async def stored(server: Party) -> None:
    """A message that another process has stored."""
    await server.backends.store.append([Post(DEFAULT_ROOM, ANN, "hi", access=0)])


async def test_what_another_process_stored_is_delivered(tmp_path: Path) -> None:
    """Once, when it is wanted, and again and again while this process is cut off."""
    async with party(tmp_path) as server:
        wire, resync = await member(server), server.backends.resync
        running = asyncio.create_task(resync.run())
        await stored(server)
        resync.want()
        await eventually(lambda: wire.data)
        assert [frame["offset"] for frame in wire.take()] == [1]
        resync.cut_off(True)
        for offset in (2, 3):
            await stored(server)
            await eventually(lambda: wire.data)
            assert [frame["offset"] for frame in wire.take()] == [offset]
        running.cancel()


async def test_who_was_revoked_elsewhere_is_closed(tmp_path: Path) -> None:
    """Who was not stays."""
    async with party(tmp_path) as server:
        wire = await member(server)
        await server.backends.resync.ask()
        assert not wire.closed
        await server.backends.store.revoke_token("t1", time.time() + 60)
        await server.backends.resync.ask()
        assert wire.closed == [(CloseCode.REVOKED, "revoked")]


async def test_it_goes_on_when_the_store_does_not(tmp_path: Path) -> None:
    """What was wanted meanwhile is still wanted; a bug does not end it either."""
    async with party(tmp_path) as server:
        wire, resync, store = await member(server), server.backends.resync, server.backends.store
        await stored(server)
        await store.close()
        running = asyncio.create_task(resync.run())
        resync.want()
        await asyncio.sleep(0.05)
        assert not wire.data and not running.done()
        await store.open()
        await eventually(lambda: wire.data)
        running.cancel()
