"""Another server's answer: whole, or refused for its size or its time."""

from __future__ import annotations

import io
import time

import pytest

from app import bounded


def test_all_of_it_comes() -> None:
    """Up to the last byte that is allowed."""
    assert bounded.read(io.BytesIO(b"x" * 100_000), 100_000, time.monotonic() + 60) == b"x" * 100_000


def test_one_byte_more_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than 99999 bytes"):
        bounded.read(io.BytesIO(b"x" * 100_000), 99_999, time.monotonic() + 60)


def test_what_goes_on_too_long_is_refused() -> None:
    """However little of it there is."""
    with pytest.raises(TimeoutError):
        bounded.read(io.BytesIO(b"x"), 10, time.monotonic() - 1)
