"""The delivery promise over the containers, while each of them dies, stands still, restarts or is cut off.

`CHAOS_SEED` decides the order of the faults and who says what where.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from client.check_crowd import Crowd
from client.check_participant import Participant
from client.checker import report, run
from client.credentials import Token
from client.pace import Backoff
from stack import compose
from tests import canary
from tests.containers.contained import ContainedStack, up
from tests.containers.wreck import plan, suffer
from tests.patience import THOROUGH
from tests.stack.between import Between

SEED = int(os.environ.get("CHAOS_SEED", "1"))
CLIENTS, ROOMS, PER_ADDRESS = (40, 8, 5) if THOROUGH else (20, 4, 5)
RATE, REMOVALS, BACKOFF = 0.25, 0.3, 5.0
TALK = 8.0
"""Seconds between two faults in which everybody comes back and talks."""
WIDER = {
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_PER_MINUTE": "6000",
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_BURST": "1000",
    "PORTCULLIS_ACCESS_TOKEN_SECONDS": "3600",
    "PORTCULLIS_CHANGES_PER_USER_PER_SECOND": "20",
    "PORTCULLIS_READS_PER_USER_PER_SECOND": "1000",
    "PORTCULLIS_READS_PER_USER_BURST": "1000",
    "PORTCULLIS_DRAIN_SECONDS": "3",
    "WORKERS": "4",
}
"""Faults make clients come back more often than people do, and the judge reads all that was said at once."""
MAKE = """
import sys, time
from app.__main__ import main
from app.keys import open_keys
from app.model import Credential, Identity
from app.settings import load
from app.tokens import Tokens
settings = load()
tokens = Tokens(settings, open_keys(settings))
for number in range(int(sys.argv[1])):
    name = f"talker{number}"
    main(["user", name])
    ours = Identity(name, Credential.TOKEN, time.time() + 3600, settings.issuer, name)
    print(tokens.access_token(ours)[0])
"""
"""Makes accounts, and tokens that outlive a run: the containers that mint fresh ones are being killed meanwhile."""


@pytest.fixture
def shaken() -> Iterator[ContainedStack]:
    """A stack of its own: four workers, and limits that a crowd that comes back does not reach."""
    with up(WIDER) as stack:
        yield stack


def accounts(stack: ContainedStack) -> list[str]:
    """Tokens of talker0, talker1 and so on."""
    made = compose.run(stack.place, "exec", "--no-TTY", "app", "python", "-c", MAKE, str(CLIENTS)).splitlines()
    for secret in made:
        canary.remember(secret)
    return made[1::2]


@asynccontextmanager
async def a_crowd(stack: ContainedStack, seed: int) -> AsyncIterator[Crowd]:
    """Clients that each come over a way of their own, five from each address."""
    rng, tls, tokens = random.Random(seed), stack.tls, await asyncio.to_thread(accounts, stack)  # noqa: S311
    async with AsyncExitStack() as after:
        participants = []
        for number, token in enumerate(tokens):
            way = await after.enter_async_context(Between(stack.https_port, f"127.0.0.{number // PER_ADDRESS + 2}"))
            user, own = f"talker{number}", random.Random(rng.random())  # noqa: S311
            participants.append(
                Participant(
                    user,
                    f"https://localhost:{way.port}",
                    Token(token),
                    RATE,
                    own,
                    tls=tls,
                    host="127.0.0.1",
                    backoff=Backoff(longest=BACKOFF),
                )
            )
        yield Crowd(participants, ROOMS, rng, REMOVALS)


async def shake(stack: ContainedStack, seed: int) -> None:
    """One fault after the other, each once the last one is over and everybody talks again."""
    for wreck in plan(seed):
        await asyncio.sleep(TALK)
        await asyncio.to_thread(suffer, wreck, stack)
    await asyncio.sleep(TALK)


async def test_every_event_is_delivered_once_and_in_order_whatever_container_fails(shaken: ContainedStack) -> None:
    """Acked = stored = delivered to each member entitled to it; each fault ends without anybody's hand, and readiness
    tells of those that last."""
    async with a_crowd(shaken, SEED) as crowd:
        verdict = await run(crowd, 1.0, shake(shaken, SEED))
        found = report(crowd, verdict, {"seed": SEED})
        print(json.dumps(found, indent=2))
        assert verdict.kept, str(verdict)
    counted = found["counted"]
    assert isinstance(counted, dict)
    assert counted["delivered"] > counted["acked"] > CLIENTS
    assert counted["resumed"] >= CLIENTS / 2
