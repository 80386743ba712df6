"""PostgreSQL itself: who may do what, migrations, passwords and TLS, and who has the database to itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import InternalError

from app.migrations import migrate
from app.model import DEFAULT_ROOM
from app.store import Store, StoreDown, StoreTaken
from app.store_faults import SchemaAhead, SchemaBehind, Unfit
from app.store_postgres import connect
from app.store_schema import metadata
from stack import unix_user
from tests import postgres
from tests.contract.house import furnish, opened, passes, post
from tests.contract.outages import recovered
from tests.patience import PATIENCE, THOROUGH, until
from tests.postgres import EMPTY, OWNER, PASSWORD, ROLE, Cluster

ROOT = Path(__file__).parents[2]
PAUSE = 20.0 if THOROUGH else 3.0


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """A database with an empty, migrated store."""
    name = cluster.fresh()
    yield name
    cluster.drop(name)


@pytest.fixture
def bare(cluster: Cluster) -> Iterator[str]:
    """An empty database."""
    name = cluster.fresh(EMPTY)
    yield name
    cluster.drop(name)


FORBIDDEN = [
    "UPDATE audit SET reason = ''",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "DROP TABLE audit",
    "DROP TRIGGER audit_refuses ON audit",
    "ALTER TABLE audit DISABLE TRIGGER ALL",
    "ALTER TABLE events ADD COLUMN more INTEGER",
    "DROP TABLE events",
    "TRUNCATE events",
    "DELETE FROM rooms",
    "DELETE FROM accounts",
    "DELETE FROM members",
    "UPDATE alembic_version SET version_num = '9999'",
    "CREATE TABLE mine (id INTEGER)",
    "CREATE ROLE another",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_servers_role_may_not(cluster: Cluster, name: str, statement: str) -> None:
    """It works with rows; the tables and what is written for good are not its own."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        cluster.execute(statement, name, ROLE)


@pytest.mark.parametrize("statement", ["UPDATE audit SET reason = ''", "DELETE FROM audit", "TRUNCATE audit"])
def test_the_owner_of_the_audit_log_is_refused_by_the_table(cluster: Cluster, name: str, statement: str) -> None:
    """Rights are one wall, the trigger is another."""
    with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
        cluster.execute(statement, name, OWNER)


def test_rights_that_were_given_by_default_are_taken_back(cluster: Cluster, bare: str) -> None:
    """Whatever a server gives away with each new table; a second migration repeats it."""
    default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT ALL ON TABLES TO {ROLE}"
    cluster.execute(default, bare)
    migrate(cluster.url(bare, OWNER))
    cluster.execute(f"GRANT ALL ON audit TO {ROLE}", bare)
    migrate(cluster.url(bare, OWNER))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        cluster.execute("DELETE FROM audit", bare, ROLE)


def test_three_migrations_at_once_make_one_store(cluster: Cluster, bare: str) -> None:
    """All succeed; one epoch, one lobby."""
    script = "import sys; from app.migrations import migrate; migrate(sys.argv[1])"
    command = [sys.executable, "-W", "error", "-c", script, cluster.url(bare, OWNER)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert cluster.execute("SELECT count(*) FROM meta", bare) == [(1,)]
    assert cluster.execute('SELECT name, "offset" FROM rooms', bare) == [("lobby", 0)]


def test_the_steps_build_the_tables_that_the_code_uses(cluster: Cluster, name: str, bare: str) -> None:
    """Columns, collations, indexes, constraints and triggers, as the server describes them."""
    tables, steps = connect(cluster.url(bare, OWNER), 20.0, writes=True), connect(cluster.url(name, OWNER), 20.0)
    metadata.create_all(tables)
    with steps.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    tables.dispose()
    steps.dispose()
    for question in (
        "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT pg_get_functiondef('audit_refuses'::regproc)",
    ):
        assert sorted(cluster.execute(question, name)) == sorted(cluster.execute(question, bare))


async def test_a_database_that_was_never_migrated_or_is_newer_does_not_open(cluster: Cluster, bare: str) -> None:
    """The sentence says which way round it is."""
    with pytest.raises(SchemaBehind, match="schema none, needed"):
        async with opened(cluster.url(bare)):
            pass
    migrate(cluster.url(bare, OWNER))
    cluster.execute("UPDATE alembic_version SET version_num = '9999'", bare)
    with pytest.raises(SchemaAhead, match="schema 9999"):
        async with opened(cluster.url(bare)):
            pass


def test_a_server_that_does_not_write_through_is_refused() -> None:
    """With fsync off an ack would promise nothing."""
    with pytest.raises(Unfit, match="fsync=off"), postgres.cluster(fsync="off"):
        pass


async def test_commits_are_durable_whatever_the_role_has_as_its_default(cluster: Cluster, name: str) -> None:
    """synchronous_commit is on, and every wait has its bound."""
    cluster.execute(f"ALTER ROLE {ROLE} IN DATABASE {name} SET synchronous_commit = off")
    engine = connect(cluster.url(name), 1.5, writes=True)
    wanted = {"synchronous_commit": "on", "statement_timeout": "1500ms", "lock_timeout": "1500ms"}
    with engine.connect() as connection:
        found = {one: connection.exec_driver_sql(f"SHOW {one}").scalar() for one in wanted}
    engine.dispose()
    assert found == wanted


def test_what_reads_cannot_write(cluster: Cluster, name: str) -> None:
    """A statement that runs by itself is read-only, too."""
    engine = connect(cluster.url(name), 1.5)
    with engine.connect() as connection, pytest.raises(InternalError, match="read-only transaction"):
        connection.exec_driver_sql("UPDATE meta SET value = value")
    engine.dispose()


async def test_after_an_outage_nobody_finds_a_dead_connection(cluster: Cluster, name: str) -> None:
    """The server closed every one of them: reads, as many at once as there are threads, and a write are answered."""
    async with opened(cluster.url(name)) as store:
        await furnish(store)
        ended = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for _ in range(2):
            await asyncio.gather(*(store.room(DEFAULT_ROOM) for _ in range(20)))
            assert len(cluster.execute(ended, name)) > 2
            assert None not in await asyncio.gather(*(store.room(DEFAULT_ROOM) for _ in range(20)))
            await passes(store, [post("x")])


async def test_a_server_that_shares_nothing_has_the_database_to_itself(cluster: Cluster, name: str) -> None:
    """A second one waits for the first to end, or says what is wrong; who does not serve works beside it."""
    url = cluster.url(name)
    first, second, other = (Store(url, 5.0, alone=alone) for alone in (True, True, False))
    await first.open()
    try:
        with pytest.raises(StoreTaken, match="Another server works on this database"):
            await second.open(0.3)
        await other.open()
        await passes(other, [post("beside it")])
        await other.close()
        opening = asyncio.create_task(second.open(PATIENCE))
        await passes(first, [post("still here")])
        assert not opening.done()
        await first.close()
        await opening
        await passes(second, [post("its turn")])
    finally:
        await first.close()
        await second.close()


async def test_whoever_loses_the_database_to_another_server_writes_no_more(cluster: Cluster, name: str) -> None:
    """Its connection broke, and the other one was quicker: each write says so until the other one is gone."""
    url = cluster.url(name)
    first, second = (Store(url, 5.0, alone=True) for _ in range(2))
    await first.open()
    try:
        opening = asyncio.create_task(second.open(PATIENCE))
        await asyncio.sleep(0.3)
        cluster.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'", name)
        await opening
        with pytest.raises(StoreTaken):
            await first.append([post("too late")])
        await second.close()
        await recovered(first)
    finally:
        await first.close()
        await second.close()


async def test_the_password_comes_from_its_file_anew_for_each_connection(
    cluster: Cluster, name: str, tmp_path: Path
) -> None:
    """A wrong one is an outage, whose sentence does not quote it; so is a file that others can read."""
    file = tmp_path / "password"
    file.write_text("a-wrong-one\n")
    file.chmod(0o600)
    store = Store(cluster.tcp_url(name), 20.0, password_file=file)
    with pytest.raises(StoreDown, match="password authentication failed") as caught:
        await store.open()
    assert "a-wrong-one" not in str(caught.value)
    file.write_text(PASSWORD + "\n")
    await store.open()
    await store.close()
    file.chmod(0o644)
    with pytest.raises(StoreDown, match="can be read by others"):
        await store.open()


def certify(pem: Path, key: Path) -> None:
    """A certificate for 127.0.0.1 that vouches for itself, and a key that only the server may read."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    about = ["-subj", "/CN=db", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)]
    subprocess.run([*words, *about], check=True, capture_output=True)
    key.chmod(0o600)
    if os.geteuid() == 0:
        user = unix_user.for_app()
        os.chown(key, user.uid, user.gid)


async def test_tls_by_the_urls_options(cluster: Cluster, name: str, tmp_path: Path) -> None:
    """Who asks for a checked certificate gets it or nothing."""
    pem, key = cluster.folder / "server.pem", cluster.folder / "server.key"
    await asyncio.to_thread(certify, pem, key)
    trusted = Path(shutil.copy(pem, tmp_path / "ca.pem"))
    options = f"?sslmode=verify-full&sslrootcert={trusted}"
    store = Store(cluster.tcp_url(name, options=options), 20.0, password_file=cluster.password_file)
    with pytest.raises(StoreDown, match="SSL"):
        await store.open()
    for setting, value in (("ssl_cert_file", f"'{pem}'"), ("ssl_key_file", f"'{key}'"), ("ssl", "on")):
        cluster.execute(f"ALTER SYSTEM SET {setting} = {value}")
    cluster.execute("SELECT pg_reload_conf()")
    until(lambda: cluster.execute("SHOW ssl") == [("on",)], "TLS is on")
    await store.open()
    encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'portcullis'"
    assert cluster.execute(encrypted) == [(True,)]
    await store.close()


async def test_a_rooms_lock_that_somebody_else_holds_is_an_outage_for_writes_only(cluster: Cluster, name: str) -> None:
    """A process that stopped in the middle of its transaction; reads go on, and afterwards so do writes."""
    async with opened(cluster.url(name), 2.0) as store:
        await furnish(store)
        with psycopg.connect(host=str(cluster.folder), port=cluster.port, user=ROLE, dbname=name) as other:
            other.execute("SELECT * FROM rooms FOR UPDATE")
            with pytest.raises(StoreDown, match=r"lock timeout|statement timeout"):
                await store.append([post("x")])
            assert await store.events(DEFAULT_ROOM, 0, 10) == []
        (stored,) = await passes(store, [post("x")])
        assert stored.event.offset == 1
