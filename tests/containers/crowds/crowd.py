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
from stack import compose
from tests import canary
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
MAKE = """
import contextlib, io, sys, time
from app.__main__ import main
from app.keys import open_keys
from app.model import Credential, Identity
from app.settings import load
from app.tokens import Tokens
settings = load()
tokens = Tokens(settings, open_keys(settings))
for number in range(int(sys.argv[1])):
    name = f"talker{number}"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(["user", name])
    ours = Identity(name, Credential.TOKEN, time.time() + 3600, settings.issuer, name)
    print(tokens.access_token(ours)[0])
"""
"""Makes accounts, and tokens that outlive a run: the containers that mint fresh ones are being killed meanwhile."""


def accounts(stack: ContainedStack, count: int) -> list[str]:
    """Tokens of talker0, talker1 and so on."""
    made = compose.run(stack.place, "exec", "--no-TTY", "app", "python", "-c", MAKE, str(count)).splitlines()
    for secret in made:
        canary.remember(secret)
    return made


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
