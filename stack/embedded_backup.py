"""Backups of a stack without containers: a copy of the SQLite file, taken while the chat goes on, and the way back.

As in containers no key is in a backup, and PORTCULLIS_BACKUP_RECIPIENT (an age public key) has it encrypted.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stack import app_command, facts, packages, snapshot
from stack.place import Place
from stack.problem import Problem

KIND = snapshot.SQLITE
FILE = "sqlite:///"


def database(place: Place, settings: Mapping[str, str]) -> Path:
    """The store's file. Raises Problem where somebody else's server keeps it."""
    url = settings.get("DATABASE_URL") or f"{FILE}{place.data / 'chat.db'}"
    if not url.startswith(FILE):
        raise Problem("The store is in a database of your own: back it up as you do your others, with pg_dump.")
    return Path(url.removeprefix(FILE))


def write(place: Place, settings: Mapping[str, str], asked: Path | None, say: Callable[[str], None]) -> Path:
    """Write a backup and try it out; returns its path. Raises Problem, and leaves nothing that is not whole."""
    recipient = settings.get("PORTCULLIS_BACKUP_RECIPIENT", "")
    path, source = snapshot.target(place, asked, KIND, recipient), database(place, settings)
    with snapshot.drafted(path) as draft:
        with draft.open("wb") as file:
            _copy(place, settings, "write", source, taken=file)
        say(f"copied, {draft.stat().st_size} bytes")
        say(f"tried out: {_read(place, settings, 'look', source, draft)}")
        if recipient:
            with snapshot.drafted(path.with_name(path.name + ".sealed")) as sealed:
                _age(draft, sealed, "--encrypt", f"--recipient={recipient}")
                sealed.replace(draft)
        draft.replace(path)
    facts.backed_up(place)
    return path


def look(place: Place, settings: Mapping[str, str], source: Path, identity: Path | None) -> str:
    """What is in a backup. Raises Problem where it could not be restored."""
    with plain(place, source, identity) as copy:
        return _read(place, settings, "look", database(place, settings), copy)


def drill(place: Place, settings: Mapping[str, str], source: Path, identity: Path | None) -> str:
    """What `look` says, as an operator's drill. Raises Problem as it does."""
    said = look(place, settings, source, identity)
    facts.drilled(place)
    return said


def restore(place: Place, settings: Mapping[str, str], source: Path, identity: Path | None) -> str:
    """Put it in the database's place; nothing of the stack may run. Raises Problem with the database as it was."""
    with plain(place, source, identity) as copy:
        return _read(place, settings, "swap", database(place, settings), copy)


@contextmanager
def plain(place: Place, source: Path, identity: Path | None) -> Iterator[Path]:
    """The copy itself, decrypted where it has to be."""
    if not snapshot.check(source, identity, KIND):
        yield source
        return
    with snapshot.drafted(place.state / "restoring") as draft:
        _age(source, draft, "--decrypt", f"--identity={identity}")
        yield draft


def _age(source: Path, target: Path, *words: str) -> None:
    age = packages.command("age")
    if age is None:
        raise Problem(f"Encrypted backups need age: {packages.by_hand(['age'])}")
    with source.open("rb") as given, target.open("wb") as taken:
        done = subprocess.run([age, *words], stdin=given, stdout=taken, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Problem(f"age failed:\n{done.stderr.decode(errors='replace').strip()}")


def _read(place: Place, settings: Mapping[str, str], verb: str, path: Path, copy: Path) -> str:
    with copy.open("rb") as file:
        return _copy(place, settings, verb, path, given=file)


def _copy(
    place: Place,
    settings: Mapping[str, str],
    verb: str,
    path: Path,
    given: IO[bytes] | None = None,
    taken: IO[bytes] | None = None,
) -> str:
    """`python -m stack.sqlite_copy`, as the owner of the data. Raises Problem with its sentence."""
    done = app_command.stream(place, settings, "-m", "stack.sqlite_copy", verb, str(path), given=given, taken=taken)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Problem(said[-1] if said else f"The copy ended with {done.returncode} and no words.")
    return "" if taken else done.stdout.decode().strip()
