"""The reference pages say what the code does."""

from __future__ import annotations

import pytest

from docs.generate import FOLDER, pages


@pytest.mark.parametrize("name", pages())
def test_a_generated_page_is_current(name: str) -> None:
    """`make docs` would change nothing."""
    assert (FOLDER / name).read_text() == pages()[name], "run `make docs`"
