"""Backup and restore without containers, while the chat goes on and after all of it was deleted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import packages
from tests.stack import backups
from tests.stack.conftest import NewStack
from tests.stack.running import RunningStack, new_stack


@pytest.fixture(scope="module")
def own(stack: RunningStack) -> Iterator[RunningStack]:
    """A stack that may be wiped."""
    with new_stack(seed=stack.state) as mine:
        mine.up()
        yield mine


async def test_what_was_backed_up_comes_back_after_everything_was_wiped(own: RunningStack, tmp_path: Path) -> None:
    """Accounts, rooms, history and offsets, and whoever remembers more is told so."""
    await backups.comes_back(own, tmp_path)


def test_a_file_that_is_no_backup_changes_nothing(own: RunningStack, tmp_path: Path) -> None:
    """Each is refused with a sentence before anything stops."""
    backups.what_is_none_changes_nothing(own, tmp_path, b"PGDMP and more")


def test_a_drill_tells_whether_the_newest_backup_can_be_restored(own: RunningStack, tmp_path: Path) -> None:
    """Beside the database, which stays as it is."""
    backups.the_newest_one_is_drilled(own, tmp_path)


def test_an_encrypted_backup_needs_its_identity(own: RunningStack, tmp_path: Path) -> None:
    """With age, from the distribution."""
    keygen = packages.command("age-keygen")
    assert keygen, "the tests need age: make machine"
    identity = subprocess.run([keygen], capture_output=True, text=True, check=True).stdout
    public = subprocess.run([keygen, "-y"], input=identity, capture_output=True, text=True, check=True).stdout.strip()
    backups.an_encrypted_one_needs_its_identity(own, tmp_path, identity, public)


def test_without_a_stack_there_is_nothing_to_back_up(another: NewStack) -> None:
    """And the sentence says what to do."""
    with another() as mine:
        done = mine.make("backup", check=False)
        assert done.returncode != 0
        assert "make up" in done.stderr
