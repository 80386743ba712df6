"""One stack in containers for this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.contained import ContainedStack, up
from tests.containers.crowd import WIDER


@pytest.fixture(scope="session")
def contained() -> Iterator[ContainedStack]:
    """Shared by all: leave it healthy."""
    with up() as stack:
        yield stack


@pytest.fixture(scope="session")
def busy() -> Iterator[ContainedStack]:
    """Another one, for crowds: four workers, and limits that clients who come back do not reach.

    The database has a small disk of its own, until a test deletes that with everything else.
    """
    with up(WIDER, disk=700) as stack:
        yield stack
