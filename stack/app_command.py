"""`python -m app …`, as the user who owns the app's data."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import IO, Any

from stack import settings_file, unix_user
from stack.place import Place
from stack.problem import Problem


def environ(place: Place, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of the app, and nothing of the caller's but its language and time zone."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "TZ") if key in os.environ}
    return kept | settings_file.for_app(place, settings)


SEVERAL = """
import contextlib, os, sys
from app.__main__ import leave, main
*first, last = [command.split() for command in sys.argv[1:]]
for words in first:
    with contextlib.redirect_stdout(sys.stderr):
        if status := main(words):
            sys.exit(status)
leave(main(last))
"""


def run_several(place: Place, settings: Mapping[str, str], *commands: str) -> str:
    """Run commands one after the other in one interpreter, whose start takes longer than they do.

    Returns what the last one printed; raises Problem with the sentence of the first that refuses.
    """
    return _answer(_start(place, settings, "-c", SEVERAL, *commands), commands[0])


def run(place: Place, settings: Mapping[str, str], *words: str) -> str:
    """Run one command of the app and return what it printed, without the final newline.

    Raises Problem with the app's own sentence when it refuses.
    """
    return _answer(attempt(place, settings, *words), words[0])


def _answer(done: subprocess.CompletedProcess[str], name: str) -> str:
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Problem(said[-1] if said else f"`python -m app {name}` ended with {done.returncode} and no words.")
    return done.stdout.rstrip("\n")


def python(place: Place, settings: Mapping[str, str], *words: str) -> str:
    """Run the app's interpreter with the app's settings; what it printed. Raises Problem with its last line."""
    return _answer(_start(place, settings, *words), words[0])


def attempt(place: Place, settings: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the app, whatever comes of it."""
    return _start(place, settings, "-m", "app", *words)


def stream(
    place: Place, settings: Mapping[str, str], *words: str, given: IO[bytes] | None, taken: IO[bytes] | None
) -> subprocess.CompletedProcess[bytes]:
    """Run the interpreter as the owner of the data, from and into open files; its output is kept where not `taken`."""
    return subprocess.run(
        [place.python, *words],
        **_as_owner(place, settings),
        stdin=given or subprocess.DEVNULL,
        stdout=taken or subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )


def _start(place: Place, settings: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [place.python, *words],
        **_as_owner(place, settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _as_owner(place: Place, settings: Mapping[str, str]) -> dict[str, Any]:
    """For `subprocess`: environment, folder and user of the app."""
    owner = unix_user.for_app()
    root = os.geteuid() == 0
    return {
        "env": environ(place, settings) | {"HOME": str(place.run)},
        "cwd": place.run,
        "user": owner.uid if root else None,
        "group": owner.gid if root else None,
        "extra_groups": list(owner.groups) if root else None,
        "umask": 0o077,
    }
