"""Two servers, or one with two workers, on one PostgreSQL and one Redis or Valkey."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.contract.servers import Server as Redis
from tests.postgres import Cluster
from tests.socket.conftest import WIDE
from tests.socket.server import Server, running

OWN = {"redis_timeout_seconds": "2"}
"""A test machine may be busy."""


def shared(database: str, redis: Redis, **settings: str) -> dict[str, str]:
    """The settings of a server that shares its state."""
    return WIDE | OWN | {"database_url": database, "redis_url": f"unix://{redis.socket}"} | settings


@contextlib.contextmanager
def two(folder: Path, database: str, redis: Redis, **settings: str) -> Iterator[tuple[Server, Server]]:
    """Two servers of one worker each, so that a test knows who is where. Both sign with the same keys."""
    with contextlib.ExitStack() as stack:
        chosen = shared(database, redis, signing_keys=str(folder / "keys"), **settings)
        (folder / "keys").mkdir(mode=0o700)
        yield (
            stack.enter_context(running(folder / "one", **chosen, node="one")),
            stack.enter_context(running(folder / "other", **chosen, node="other")),
        )


@contextlib.contextmanager
def database(cluster: Cluster) -> Iterator[str]:
    """The URL of an empty store, in the role that servers have."""
    name = cluster.fresh()
    try:
        yield cluster.url(name)
    finally:
        cluster.drop(name)
