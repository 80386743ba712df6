"""What is true of a backup whatever store it is of: its name, its first bytes, what must be in it, and its draft."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stack.place import Place
from stack.problem import Problem

ENCRYPTED, DRAFT = ".age", ".draft"
POSTGRES, SQLITE, SEALED = b"PGDMP", b"\x1f\x8b", b"age-encryption.org/"
"""How a dump of pg_dump's, a compressed copy of a SQLite file and anything that age has encrypted begin."""
SUFFIXES = {POSTGRES: ".dump", SQLITE: ".sqlite.gz"}
COUNTS = (
    "SELECT (SELECT count(*) FROM accounts) || ' accounts, ' || (SELECT count(*) FROM rooms) || ' rooms and ' ||"
    " (SELECT count(*) FROM events) || ' events, schema ' || (SELECT version_num FROM alembic_version)"
)
WHOLE = (
    'SELECT count(*) FROM rooms r WHERE r."offset" <> COALESCE('
    '(SELECT max(e."offset") FROM events e WHERE e.room = r.id), r.floor)'
)
"""Rooms whose newest event is not the one that the room itself names."""
NOT_WHOLE = "The backup is not whole: rooms in it name events that are not there."


def folder(place: Place) -> Path:
    """Where backups are put."""
    return place.state / "backups"


def newest(place: Place) -> Path | None:
    """The youngest backup that is there, whatever it is called."""
    kinds = (*SUFFIXES, SEALED)
    files = [path for path in folder(place).glob("*") if path.is_file() and path.suffix != DRAFT]
    found = [path for path in files if _head(path).startswith(kinds)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def chosen(place: Place, asked: Path | None) -> Path:
    """The backup that was asked for, or the newest one. Raises Problem where there is none."""
    found = asked or newest(place)
    if found is None:
        raise Problem(f"There is no backup in {folder(place)}. Make one: make backup, or name one: FROM=…")
    return found


def target(place: Place, asked: Path | None, kind: bytes, recipient: str) -> Path:
    """Where the next backup goes, whose name says what it is. Raises Problem where something is already."""
    if asked is None:
        folder(place).mkdir(mode=0o700, exist_ok=True)
        asked = folder(place) / time.strftime(f"portcullis-%Y%m%dT%H%M%SZ{SUFFIXES[kind]}", time.gmtime())
    if recipient and asked.suffix != ENCRYPTED:
        asked = asked.with_name(asked.name + ENCRYPTED)
    if asked.exists():
        raise Problem(f"{asked} is there already: choose another name with TO=…")
    return asked


def check(source: Path, identity: Path | None, kind: bytes) -> bool:
    """Whether it is encrypted. Raises Problem for what is no backup of this kind of store, or cannot be read so."""
    head = _head(source)
    if head.startswith(SEALED):
        if identity is None:
            raise Problem(f"{source} is encrypted: name the file with its age identity, IDENTITY=…")
        return True
    if not head.startswith(kind):
        other = next((one for one in SUFFIXES if one != kind and head.startswith(one)), None)
        shapes = {POSTGRES: "in containers", SQLITE: "without containers"}
        raise Problem(
            f"{source} is a backup of a stack {shapes[other]}, and this one is {shapes[kind]}."
            if other
            else f"{source} is not a backup of Portcullis."
        )
    return False


def _head(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(32)
    except OSError as error:
        raise Problem(f"{source} cannot be read: {error.strerror}.") from None


def renewal(settings: Mapping[str, str], say: Callable[[str], None]) -> Iterator[tuple[str, ...]]:
    """The app's commands after a restore: nothing that was revoked since may count, nor what clients remember."""
    if settings.get("PORTCULLIS_HS256_SECRET_FILE"):
        say(
            "put another secret into PORTCULLIS_HS256_SECRET_FILE: until then tokens revoked since the backup are valid"
        )
    else:
        yield ("keys", "rotate", "--revoke")
    yield ("migrate",)
    yield ("renew",)


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A file beside `path` that nobody else may read, gone afterwards unless it was moved."""
    draft = path.with_name(path.name + DRAFT)
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)
