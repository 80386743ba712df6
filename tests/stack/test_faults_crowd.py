"""Forty clients behind the edge, while the supervisor has to restart what is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial

from tests.crowd import Poster, assert_acks_equal_store, never_two, posting, progress
from tests.patience import THOROUGH, until
from tests.stack.conftest import NewStack
from tests.stack.running import RunningStack
from tests.stack.through import Through

CLIENTS, PER_ADDRESS, KILLS = 40, 5, 15 if THOROUGH else 5
WIDER = {
    "PORTCULLIS_POSTS_PER_USER_PER_SECOND": "10",
    "PORTCULLIS_POSTS_PER_USER_BURST": "20",
    "PORTCULLIS_POSTS_PER_ROOM_PER_SECOND": "1000",
    "PORTCULLIS_POSTS_PER_ROOM_BURST": "1000",
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_PER_MINUTE": "6000",
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_BURST": "1000",
}


def restarted(stack: RunningStack, program: str, old: int) -> bool:
    """Whether the supervisor has started another process in the killed one's stead."""
    found = {one.pid: one for one in stack.processes()}
    supervisor = stack.pid("supervisor")
    return any(one.program == program and one.parent == supervisor and one.pid != old for one in found.values())


async def kill(stack: RunningStack, program: str) -> None:
    """kill -9 of what the supervisor itself started and, for the edge, of its workers; waits until it runs again."""
    old = await asyncio.to_thread(stack.pid, program)
    workers = [one.pid for one in stack.processes() if one.parent == old and program == "edge"]
    for pid in (old, *workers):
        os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(until, partial(restarted, stack, program, old), f"{program} is started again")


async def test_forty_clients_lose_nothing_when_master_and_edge_are_killed(another: NewStack) -> None:
    """The master again and again, nginx once: acks equal the store, once each, without gaps; never two on one store."""
    with another(WIDER) as stack:
        stack.up()
        through, posters, enough = Through(stack), list[Poster](), asyncio.Event()
        for number in range(CLIENTS):
            token = await through.inside.token(f"poster{number}")
            address = f"127.0.0.{number // PER_ADDRESS + 2}"
            posters.append(Poster(f"poster{number}", partial(through.open, token, address=address)))
        watch = asyncio.create_task(never_two(stack.state / "data" / "chat.db", enough))
        async with posting(posters):
            for _ in range(KILLS):
                await progress(posters)
                await kill(stack, "app")
            await progress(posters)
            await kill(stack, "edge")
            await progress(posters)
        enough.set()
        assert await watch > 10
        await assert_acks_equal_store(posters, through.inside.load().database)
        assert all(sum(poster.closes.values()) > KILLS for poster in posters)
