"""Clients of a stack in containers, and the settings of a stack that a crowd talks through."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from client.check_crowd import Crowd
from client.check_participant import Participant
from client.credentials import Token
from client.pace import Backoff
from tests.containers.contained import ContainedStack
from tests.stack.between import Between

PER_ADDRESS = 5
RATE, REMOVALS, BACKOFF = 0.25, 0.3, 5.0
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


def accounts(stack: ContainedStack, count: int) -> list[str]:
    """Tokens of talker0, talker1 and so on, which outlive a run: what mints fresh ones is being killed meanwhile."""
    return stack.mint_all((f"talker{number}", 3600.0) for number in range(count))


@asynccontextmanager
async def a_crowd(stack: ContainedStack, seed: int, clients: int, rooms: int) -> AsyncIterator[Crowd]:
    """Clients that each come over a way of their own, five from each address."""
    rng, tls, tokens = random.Random(seed), stack.tls, await asyncio.to_thread(accounts, stack, clients)  # noqa: S311
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
        yield Crowd(participants, rooms, rng, REMOVALS)
