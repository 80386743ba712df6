"""What both a scenario's arithmetic and its attackers have to know."""

from typing import Final

BIG: Final = 16_000
"""Bytes of a big frame: just below the largest that is read."""
