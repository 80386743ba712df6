"""Runs inside a stack, with its app's interpreter and settings: accounts for a load run, with their tokens, on stdout.

`python mint.py PREFIX COUNT SECONDS`: one process for all, since each start takes longer than a hundred accounts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from app.keys import open_keys
from app.model import Credential, Identity, UserName
from app.settings import load
from app.store import Store
from app.tokens import Tokens


async def mint(prefix: str, count: int, seconds: float) -> list[tuple[str, str]]:
    """Names and tokens of new accounts, none of which has a password."""
    settings = load()
    # They have to outlive the run, whatever lifetime the stack gives to others.
    tokens = Tokens(settings.model_copy(update={"access_token_seconds": seconds}), open_keys(settings))
    store = Store(settings.database, settings.store_timeout_seconds, password_file=settings.database_password_file)
    await store.open()
    made: list[tuple[str, str]] = []
    try:
        for number in range(count):
            name = UserName(f"{prefix}{number:05d}")
            await store.create_account(name, "!")
            ours = Identity(name, Credential.TOKEN, time.time() + seconds, settings.issuer, name)
            made.append((name, tokens.access_token(ours)[0]))
    finally:
        await store.close()
    return made


if __name__ == "__main__":
    json.dump(asyncio.run(mint(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))), sys.stdout)
