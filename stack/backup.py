"""Backups of a stack in containers: one snapshot of the database, tried out before it counts, and the way back.

Keys are in no backup: a restore makes new ones and ends all sessions, since what was revoked after the backup would be
valid again. With PORTCULLIS_BACKUP_RECIPIENT (an age public key) a backup is encrypted, and only its identity reads it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import compose, engine, facts, snapshot
from stack.place import Place
from stack.problem import Problem

DATABASE, SCRATCH, FORMER, DRILL = "portcullis", "portcullis_restored", "portcullis_former", "portcullis_drill"
OWNER = "portcullis_owner"
KIND = snapshot.POSTGRES
IDENTITY = "/tmp/identity"  # noqa: S108 - in the container, in memory
SWAP = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'portcullis';
BEGIN;
ALTER DATABASE portcullis RENAME TO portcullis_former;
ALTER DATABASE portcullis_restored RENAME TO portcullis;
REVOKE ALL ON DATABASE portcullis FROM PUBLIC;
GRANT CONNECT ON DATABASE portcullis TO portcullis, portcullis_watch;
COMMIT;
"""


def write(place: Place, asked: Path | None, recipient: str, say: Callable[[str], None]) -> Path:
    """Write a backup and try it out; returns its path. Raises Problem, and leaves nothing that is not whole."""
    path = snapshot.target(place, asked, KIND, recipient)
    with snapshot.drafted(path) as draft:
        _into(place, draft, "pg_dump", "--username=postgres", "--format=custom", "--compress=6", DATABASE)
        say(f"dumped, {draft.stat().st_size} bytes")
        say(f"tried out: {_tried(place, draft, SCRATCH)}")
        if recipient:
            _encrypt(place, draft, recipient)
        draft.replace(path)
    facts.backed_up(place)
    return path


def drill(place: Place, source: Path, identity: Path | None) -> str:
    """Restore a backup beside the database, look through it and drop it again; what was in it.

    Raises Problem where it could not be restored.
    """
    with plain(place, source, identity) as dump:
        said = _tried(place, dump, DRILL)
    facts.drilled(place)
    return said


def restore(place: Place, source: Path, identity: Path | None, say: Callable[[str], None]) -> None:
    """Put a backup in the place of the database, whose former content is dropped only then.

    The app must be stopped. Raises Problem with the database as it was.
    """
    with plain(place, source, identity) as dump:
        try:
            say(f"read: {_load(place, dump, SCRATCH)}")
            _sql(place, "postgres", f"DROP DATABASE IF EXISTS {FORMER}")
            _sql(place, "postgres", SWAP)
        finally:
            _sql(place, "postgres", f"DROP DATABASE IF EXISTS {SCRATCH}")
    _sql(place, "postgres", f"DROP DATABASE {FORMER} WITH (FORCE)")


@contextmanager
def plain(place: Place, source: Path, identity: Path | None) -> Iterator[Path]:
    """The dump itself, decrypted where it has to be."""
    if not snapshot.check(source, identity, KIND) or identity is None:
        yield source
        return
    with snapshot.drafted(place.state / "restoring.dump") as draft:
        put = compose.attempt(place, *_inside("sh", "-c", f"umask 077; cat >{IDENTITY}"), given=identity.read_text())
        try:
            if put.returncode:
                raise Problem(put.stderr.strip())
            _into(place, draft, "age", "--decrypt", f"--identity={IDENTITY}", source=source)
        finally:
            compose.attempt(place, *_inside("rm", "-f", IDENTITY))
        yield draft


def _tried(place: Place, dump: Path, database: str) -> str:
    """What is in it, once it was restored into a database that is dropped again."""
    try:
        return _load(place, dump, database)
    finally:
        _sql(place, "postgres", f"DROP DATABASE IF EXISTS {database}")


def _load(place: Place, dump: Path, database: str) -> str:
    """Restore into a database of its own and look whether that is whole; what is in it, in words."""
    _sql(place, "postgres", f"DROP DATABASE IF EXISTS {database}")
    _sql(place, "postgres", f"CREATE DATABASE {database} OWNER {OWNER} TEMPLATE template0")
    words = ("pg_restore", "--username=postgres", "--exit-on-error", "--single-transaction", f"--dbname={database}")
    with dump.open("rb") as file:
        done = subprocess.run(_words(place, *words), stdin=file, capture_output=True, env=engine.environ(), check=False)
    if done.returncode:
        raise Problem(f"The backup cannot be restored:\n{done.stderr.decode(errors='replace').strip()[-800:]}")
    if _sql(place, database, snapshot.WHOLE) != "0":
        raise Problem(snapshot.NOT_WHOLE)
    return _sql(place, database, snapshot.COUNTS)


def _encrypt(place: Place, draft: Path, recipient: str) -> None:
    whole = draft.with_name(draft.name + ".plain")
    draft.replace(whole)
    try:
        _into(place, draft, "age", "--encrypt", f"--recipient={recipient}", source=whole)
        draft.chmod(0o600)
    finally:
        whole.unlink()


def _into(place: Place, target: Path, *words: str, source: Path | None = None) -> None:
    """Run a program in the database's container, its output in a file. Raises Problem with its last words."""
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    given = source.open("rb") if source else None
    try:
        done = subprocess.run(
            _words(place, *words), stdin=given, stdout=handle, stderr=subprocess.PIPE, env=engine.environ(), check=False
        )
    finally:
        os.close(handle)
        if given is not None:
            given.close()
    if done.returncode:
        raise Problem(f"{words[0]} failed:\n{done.stderr.decode(errors='replace').strip()[-800:]}")


def _sql(place: Place, database: str, statements: str) -> str:
    return compose.run(place, *_inside("psql", *SILENT, f"--dbname={database}"), given=statements)


SILENT = ("--username=postgres", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")


def _inside(*words: str) -> tuple[str, ...]:
    return ("exec", "--no-TTY", "postgres", *words)


def _words(place: Place, *words: str) -> list[str | Path]:
    return ["docker", *compose.words(place, *_inside(*words))]
