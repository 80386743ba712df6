"""What every test of containers needs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def closed_afterwards(clients: None) -> None:
    """Every test here may open clients."""
