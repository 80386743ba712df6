"""Names of accounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.names import resembles_system, valid_name


@pytest.mark.parametrize(
    "name", ["system", "sys.tem", "s_y-s.t.e.m", "5ystem", "sy5t3m", "sys7em", "_system_", "systern"]
)
def test_system_is_reserved(name: str) -> None:
    """Nobody can sign like the join and leave notices."""
    assert not valid_name(name)


@pytest.mark.parametrize("name", ["ab", "a" * 33, "Alice", "al ice", "alice\n", "ålice", "", "\u0430lice", "a/b"])
def test_odd_names_are_refused(name: str) -> None:
    """Only 3 to 32 of the allowed characters."""
    assert not valid_name(name)


@pytest.mark.parametrize("name", ["alice", "a.b", "x-1_2", "systems", "eco-system", "007"])
def test_good_names(name: str) -> None:
    """A resemblance in part is fine."""
    assert valid_name(name)


@given(st.text(alphabet="._-", max_size=3), st.sampled_from(["system", "SYSTEM", "5Y5T3M"]))
def test_separators_and_case_hide_nothing(separators: str, word: str) -> None:
    """Wherever they are put."""
    assert resembles_system(separators.join(word))
