"""What more than one folder of tests needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.running import RunningStack, new_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """A healthy stack with default settings, shared by the session: leave it healthy."""
    with new_stack() as running:
        running.up()
        yield running
