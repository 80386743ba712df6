"""A stack in containers for crowds of clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.contained import ContainedStack, up
from tests.containers.crowds.crowd import WIDER


@pytest.fixture(scope="package")
def busy() -> Iterator[ContainedStack]:
    """Four workers, and limits that clients who come back do not reach.

    The database has a small disk of its own.
    """
    with up(WIDER, disk=700) as stack:
        yield stack
