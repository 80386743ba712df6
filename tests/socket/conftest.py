"""`usual` has the default settings and is shared by all; `server` is shared by a module and has limits wide enough to
stay out of the way; `serve` starts one with others.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.socket.server import Server, running

WIDE = {
    "handshakes_per_address_per_minute": "100000",
    "handshakes_per_address_burst": "100000",
    "connections_per_address": "1000",
    "connections_per_user": "100",
    "posts_per_user_per_second": "10000",
    "posts_per_user_burst": "10000",
    "frames_per_connection_per_second": "10000",
    "frames_per_connection_burst": "10000",
    "posts_per_room_per_second": "100000",
    "posts_per_room_burst": "100000",
    "bytes_per_user_per_second": "10000000",
    "bytes_per_user_burst": "10000000",
    "changes_per_user_per_second": "10000",
    "changes_per_user_burst": "10000",
    "reads_per_user_per_second": "10000",
    "reads_per_user_burst": "10000",
    "rooms_per_user": "1000",
    "notices_resume_seconds": "0",
}

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), **WIDE) as started:
        yield started


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default settings, shared by all modules: each test has addresses and users of its own."""
    with running(tmp_path_factory.mktemp("usual")) as started:
        yield started


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start a server with the wide limits but for those that are named; stopped after the test."""
    with contextlib.ExitStack() as stack:
        count = itertools.count()

        def start(**settings: object) -> Server:
            chosen = WIDE | {name: str(value) for name, value in settings.items()}
            return stack.enter_context(running(tmp_path_factory.mktemp(f"serve{next(count)}"), **chosen))

        yield start


@pytest.fixture(autouse=True)
def closed_afterwards(serve: Serve, clients: None) -> None:
    """Whatever `serve` started stops after the clients are gone."""
