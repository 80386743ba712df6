"""One stack in containers for this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.contained import ContainedStack, up


@pytest.fixture(scope="session")
def contained() -> Iterator[ContainedStack]:
    """Shared by all: leave it healthy."""
    with up() as stack:
        yield stack
