"""Stacks beside the shared one, and people without rights to run them."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import places
from tests.stack.running import RunningStack, new_stack

NewStack = Callable[..., AbstractContextManager[RunningStack]]


@pytest.fixture
def another(stack: RunningStack) -> NewStack:
    """Makes stacks beside the first, which may be broken: `with another({"PORTCULLIS_…": "…"}) as mine:`."""

    def make(
        settings: dict[str, str] | None = None, before: tuple[str, ...] = (), *, watched: bool = False
    ) -> AbstractContextManager[RunningStack]:
        return new_stack(settings, stack.state, before, watched=watched)

    return make


@pytest.fixture(autouse=True)
def closed_afterwards(clients: None) -> None:
    """Every test here may open clients; a stack that it starts hangs up on its own before it stops."""


@dataclass(frozen=True)
class Person:
    """An ordinary user of this machine, without any right."""

    name: str
    home: Path

    @property
    def before(self) -> tuple[str, ...]:
        """What to put in front of a command to run it as this person."""
        return ("runuser", "-u", self.name, "--", "env", f"HOME={self.home}", f"USER={self.name}")


@pytest.fixture
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A user made for one test, with a home folder; gone afterwards. Needs root, as `make test` in CI has."""
    assert os.geteuid() == 0, "tests of the stack make users, and must be run by root"
    name = f"pc-{secrets.token_hex(4)}"
    with ExitStack() as after:
        subprocess.run(["useradd", "--create-home", "--home-dir", str(places.FOLDER / name), name], check=True)
        after.callback(subprocess.run, ["userdel", "--remove", name], check=True, capture_output=True)
        yield Person(name, places.FOLDER / name)
