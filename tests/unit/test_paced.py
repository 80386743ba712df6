"""containers/paced.sh: a container is asked often until it is well, and seldom from then on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Container:
    """What the script sees of one: a /tmp, and a `sleep` that says how long it was to be instead of taking it."""

    def __init__(self, folder: Path) -> None:
        self._tmp, self._bin = folder / "tmp", folder / "bin"
        self.said = folder / "said"
        for one in (self._tmp, self._bin):
            one.mkdir()
        sleep = self._bin / "sleep"
        sleep.write_text(f'#!/bin/sh\necho "slept $1" >>{self.said}\n')
        sleep.chmod(0o755)

    def ask(self, *command: str) -> tuple[int, list[str]]:
        """The status of one look, and what happened meanwhile, in order."""
        self.said.write_text("")
        # PATH of the sleep alone would lack what the script uses besides.
        env = {"PATH": f"{self._bin}:{os.environ['PATH']}", "TMPDIR": str(self._tmp), "SAID": str(self.said)}
        done = subprocess.run(["/bin/sh", ROOT / "containers" / "paced.sh", *command], env=env, timeout=20, check=False)
        return done.returncode, self.said.read_text().splitlines()


ILL = ("sh", "-c", 'echo looked >>"$SAID"; exit 3')
WELL = ("sh", "-c", 'echo looked >>"$SAID"')


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """One that has just started."""
    return Container(tmp_path)


def test_who_is_not_yet_well_is_asked_at_once(container: Container) -> None:
    """Each look at what is starting comes at once, with the command's own status, and so does the first good one."""
    assert container.ask(*ILL) == (3, ["looked"])
    assert container.ask(*ILL) == (3, ["looked"])
    assert container.ask(*WELL) == (0, ["looked"])


def test_who_is_well_is_left_alone_for_a_while(container: Container) -> None:
    """After a good look the next one waits, 20 to 29 seconds, before it looks."""
    container.ask(*WELL)
    status, (slept, looked) = container.ask(*WELL)
    assert (status, looked) == (0, "looked")
    assert 20 <= int(slept.removeprefix("slept ")) < 30


def test_who_falls_ill_is_asked_at_once_again(container: Container) -> None:
    """A look that finds it ill ends the waiting, until one finds it well."""
    container.ask(*WELL)
    assert container.ask(*ILL)[0] == 3
    assert container.ask(*ILL) == (3, ["looked"])
