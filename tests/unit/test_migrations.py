"""Migrating: repeatable, safe when two do it at once, and never backwards."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.migrations import migrate
from app.model import DEFAULT_ROOM, Event, Offset, Post, RoomState, Stored, UserName
from app.store import SchemaAhead, Store
from app.store_schema import HEAD, metadata
from app.store_sqlite import connect

ROOT = Path(__file__).parents[2]


def dump(path: Path) -> list[str]:
    """The whole database as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_the_newest_step_is_the_one_the_code_needs() -> None:
    """Steps are numbered without a gap, so that a newer database is told from an older one."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "app" / "migrations"))
    steps = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert steps == [f"{number:04}" for number in range(len(steps), 0, -1)]
    assert steps[0] == HEAD


def test_the_steps_build_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    """The first table of both is compared by Alembic; indexes and constraints by their SQL."""
    migrate(f"sqlite:///{tmp_path}/steps.db")
    (tmp_path / "tables.db").touch()
    steps = connect(f"sqlite:///{tmp_path}/steps.db", 1.0)
    tables = connect(f"sqlite:///{tmp_path}/tables.db", 1.0)
    metadata.create_all(tables)
    with steps.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    steps.dispose()
    tables.dispose()
    assert schema(tmp_path / "steps.db") == schema(tmp_path / "tables.db")


def schema(path: Path) -> list[str]:
    """Every CREATE statement, blanks and constraint order aside."""
    query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    with closing(sqlite3.connect(path)) as connection:
        return sorted(" ".join(sorted(row[0].replace(",", " ").split())) for row in connection.execute(query))


def to_revision(path: Path, revision: str) -> None:
    """An empty store as an older release made it."""
    path.touch(0o600)
    engine = connect(f"sqlite:///{path}", 1.0, writes=True)
    with engine.connect() as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", str(ROOT / "app" / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


async def test_a_store_from_before_rooms_keeps_everything(tmp_path: Path) -> None:
    """Offsets, ids and texts stay; what was said was messages; the lobby is everyone's, and can be talked in."""
    path = tmp_path / "chat.db"
    to_revision(path, "0001")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO events VALUES (1, 1, 'ann', 'a', 'hi', 5.0), (1, 2, 'bob', NULL, 'ho', 6.5)")
        connection.execute('UPDATE rooms SET "offset" = 2, stamped_at = 6.5')
        epoch = connection.execute("SELECT value FROM meta").fetchone()[0]
    migrate(f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}", 20.0)
    await store.open()
    try:
        assert await store.room(DEFAULT_ROOM) == RoomState(
            DEFAULT_ROOM, Offset(2), epoch, title="Lobby", public=True, everyone=True
        )
        assert await store.events(DEFAULT_ROOM, 0, 10) == [
            Event(DEFAULT_ROOM, Offset(1), UserName("ann"), "hi", 5.0),
            Event(DEFAULT_ROOM, Offset(2), UserName("bob"), "ho", 6.5),
        ]
        answers = await store.append([Post(DEFAULT_ROOM, UserName("ann"), text, text[0]) for text in ("again", "new")])
    finally:
        await store.close()
    assert [(item.event.offset, item.repeated) for item in answers if isinstance(item, Stored)] == [
        (1, True),
        (3, False),
    ]


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    """The folder is made, owner only; the epoch stays."""
    path = tmp_path / "50 % off #1" / "chat.db"
    migrate(f"sqlite:///{path}")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    before = dump(path)
    migrate(f"sqlite:///{path}")
    assert dump(path) == before


def test_two_migrations_at_once_make_one_store(tmp_path: Path) -> None:
    """Both succeed; one epoch, one lobby."""
    path = tmp_path / "chat.db"
    script = "import sys; from app.migrations import migrate; migrate(sys.argv[1])"
    command = [sys.executable, "-W", "error", "-c", script, f"sqlite:///{path}"]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(30) for process in running] == [0, 0, 0]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM meta").fetchone() == (1,)
        assert connection.execute('SELECT name, "offset" FROM rooms').fetchall() == [("lobby", 0)]


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Going back needs the newer release's help or a backup."""
    path = tmp_path / "chat.db"
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = dump(path)
    with pytest.raises(SchemaAhead, match="schema 9999, this release knows 0003"):
        migrate(f"sqlite:///{path}")
    assert dump(path) == before


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    """A table is in the way: the whole step is undone, and a bug is not called an outage."""
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bans (id INTEGER)")
    before = dump(path)
    with pytest.raises(Exception, match="bans already exists"):
        migrate(f"sqlite:///{path}")
    assert dump(path) == before
