"""The delivery promise over the containers, while each of them dies, stands still, restarts or is cut off.

`CHAOS_SEED` decides the order of the faults and who says what where.
"""

from __future__ import annotations

import asyncio
import json
import os

from client.checker import report, run
from tests.containers.contained import ContainedStack
from tests.containers.crowds.crowd import a_crowd
from tests.containers.crowds.wreck import plan, suffer
from tests.patience import THOROUGH

SEED = int(os.environ.get("CHAOS_SEED", "1"))
CLIENTS, ROOMS = (40, 8) if THOROUGH else (20, 4)
TALK = 8.0
"""Seconds between two faults in which everybody comes back and talks."""


async def shake(stack: ContainedStack, seed: int) -> None:
    """One fault after the other, each once the last one is over and everybody talks again."""
    for wreck in plan(seed):
        await asyncio.sleep(TALK)
        await asyncio.to_thread(suffer, wreck, stack)
    await asyncio.sleep(TALK)


async def test_every_event_is_delivered_once_and_in_order_whatever_container_fails(busy: ContainedStack) -> None:
    """Acked = stored = delivered to each member entitled to it; each fault ends without anybody's hand, and readiness
    tells of those that last."""
    async with a_crowd(busy, SEED, CLIENTS, ROOMS) as crowd:
        verdict = await run(crowd, 1.0, shake(busy, SEED))
        found = report(crowd, verdict, {"seed": SEED})
        print(json.dumps(found, indent=2))
        assert verdict.kept, str(verdict)
    counted = found["counted"]
    assert isinstance(counted, dict)
    assert counted["delivered"] > counted["acked"] > CLIENTS
    # Of the short plan only a worker's end disconnects anybody: not all, and in how many rooms they are is chance.
    assert counted["resumed"] >= (CLIENTS if THOROUGH else 1)
