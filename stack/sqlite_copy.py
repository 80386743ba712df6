"""Copies of a SQLite store, as the user who owns it: `python -m stack.sqlite_copy write|look|swap DATABASE`.

`write` prints a compressed snapshot, taken while the server goes on. `look` and `swap` read one: `look` says what is in
it, `swap` puts it in the database's place, too, while no server runs. What is not whole ends them with a sentence.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from stack import snapshot
from stack.problem import Problem


@contextlib.contextmanager
def scratch(database: Path) -> Iterator[Path]:
    """A file beside the database, gone afterwards with what SQLite put beside it."""
    path = database.with_name(database.name + ".copy")
    _remove(path)
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


def write(database: Path) -> None:
    """All pages in one step: readers of a write-ahead log keep no writer waiting."""
    with scratch(database) as copy:
        with (
            contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        with copy.open("rb") as file, gzip.GzipFile(fileobj=sys.stdout.buffer, mode="wb", mtime=0) as packed:
            shutil.copyfileobj(file, packed, 1 << 20)


def look(database: Path, *, swap: bool) -> str:
    """What is in the snapshot on standard input. Raises Problem where it is not whole."""
    with scratch(database) as copy:
        with gzip.GzipFile(fileobj=sys.stdin.buffer) as packed, copy.open("xb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        with contextlib.closing(sqlite3.connect(copy)) as one:
            found = _checked(one)
        if swap:
            _swap(copy, database)
        return found


def _checked(one: sqlite3.Connection) -> str:
    said = one.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if said != "ok":
        raise Problem(f"The backup is damaged: {said}")
    if one.execute("PRAGMA foreign_key_check").fetchone() or one.execute(snapshot.WHOLE).fetchone() != (0,):
        raise Problem(snapshot.NOT_WHOLE)
    return str(one.execute(snapshot.COUNTS).fetchone()[0])


def _swap(copy: Path, database: Path) -> None:
    """The former log must not be taken for the new file's: it goes first, once all of it is in the former file."""
    if database.exists():
        with contextlib.closing(sqlite3.connect(database)) as former:
            former.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    copy.replace(database)


def main() -> int:
    """Do what is asked; a Problem is a sentence on standard error."""
    verb, database = sys.argv[1], Path(sys.argv[2])
    try:
        if verb == "write":
            write(database)
        else:
            print(look(database, swap=verb == "swap"))
    except (OSError, EOFError, sqlite3.Error, zlib.error, Problem) as error:
        print(f"The backup cannot be used: {error}" if not isinstance(error, Problem) else error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
