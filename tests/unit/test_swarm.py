"""stack/swarm.py: where the backups may be."""

from __future__ import annotations

import pytest

from stack.swarm import misplaced

HOSTS = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("backup", "hosts"), [(("d",), HOSTS), (("a",), ("a",))], ids=["without data", "the only host of all"]
)
def test_one_host_has_the_backups(backup: tuple[str, ...], hosts: tuple[str, ...]) -> None:
    """It has no data, unless there is no other."""
    assert misplaced(backup, {"a", "b", "c"}, hosts) == ""


@pytest.mark.parametrize("backup", [(), ("c", "d"), ("c",)], ids=["none", "two", "one with data"])
def test_backups_that_would_be_lost_with_the_data_are_refused(backup: tuple[str, ...]) -> None:
    """With a sentence that names the label."""
    assert "portcullis.backup=yes" in misplaced(backup, {"a", "b", "c"}, HOSTS)
