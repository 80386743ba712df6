"""A real PostgreSQL server for tests: the distribution's, run by an unprivileged user, gone with the tests."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from app.migrations import migrate
from stack import packages, unix_user
from tests import places
from tests.patience import PATIENCE, until
from tests.stack.running import free_port

OWNER, ROLE = "portcullis_owner", "portcullis"
PASSWORD = "a-password-of-tests"
EMPTY, MIGRATED = "empty", "migrated"
HBA = """\
local all all trust
local replication all trust
hostssl all all 127.0.0.1/32 scram-sha-256
hostnossl all all 127.0.0.1/32 scram-sha-256
"""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "32MB",
    # It may lie in memory, and there are several.
    "max_wal_size": "128MB",
    # Two writers that wait for each other are told so at once.
    "deadlock_timeout": "100ms",
    "log_min_error_statement": "panic",
}


def program(name: str) -> Path:
    """A program of the newest server that is installed. Its absence is a failure, never a reason to skip."""
    found = packages.postgres(name)
    assert found is not None, "PostgreSQL's server is not installed: run `make machine`"
    return found


def version() -> str:
    """What the server says about itself; that there is none fails only the tests that need one."""
    if packages.postgres("postgres") is None:
        return "postgres: not installed"
    words = [str(program("postgres")), "--version"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Cluster:
    """One server with two roles, a database that is empty and one that is migrated."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None
    _names: Iterator[str] = field(default_factory=lambda: (f"store_{n}" for n in itertools.count()))

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.folder / "data"

    @property
    def password_file(self) -> Path:
        """The same for both roles."""
        return self.folder / "password"

    def make(self) -> None:
        """Make the files, once."""
        words = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run([*self._as_user(), program("initdb"), f"--pgdata={self.data}", *words], check=True, stdout=-3)
        (self.data / "pg_hba.conf").write_text(HBA)

    def follow(self, other: Cluster) -> None:
        """Make the files of a standby of another server, which runs."""
        where = [f"--host={other.folder}", f"--port={other.port}", "--username=postgres", f"--pgdata={self.data}"]
        words = ["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync"]
        subprocess.run([*self._as_user(), program("pg_basebackup"), *where, *words], check=True)

    def furnish(self) -> None:
        """Make the roles and the databases, in the server that runs."""
        for role in (OWNER, ROLE):
            self.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        for name in (EMPTY, MIGRATED):
            self.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
            self.execute(f"ALTER SCHEMA public OWNER TO {OWNER}", database=name)
        migrate(self.url(MIGRATED, OWNER))
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        given = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.folder)} | self.settings
        options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            # A test run that is killed takes its server along.
            words = [*self._as_user("--pdeathsig", "INT"), str(program("postgres")), "-D", str(self.data), *options]
            self._process = subprocess.Popen(words, stdin=-3, stdout=log, stderr=log, start_new_session=True)
        until(self.answers, f"PostgreSQL answers; its log is {self.folder / 'log'}", 2 * PATIENCE)

    def answers(self) -> bool:
        """Whether it can be asked something."""
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def lives(self) -> bool:
        """Whether it still runs, or has given up."""
        return self._process is not None and self._process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: by SIGINT after closing every connection, by SIGKILL together with its children."""
        process, self._process = self._process, None
        if process is None:
            return
        if how is signal.SIGKILL:
            self.signal(how, process.pid)
        else:
            process.send_signal(how)
        process.wait(2 * PATIENCE)

    def signal(self, number: signal.Signals, pid: int | None = None) -> None:
        """Send a signal to the server and each of its children, which are in sessions of their own."""
        parent = pid or (self._process.pid if self._process else 0)
        assert parent
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for one in (parent, *map(int, children)):
            os.kill(one, number)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing of it runs meanwhile; its sockets stay open."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def url(self, database: str, role: str = ROLE) -> str:
        """Over the Unix socket, where no password is asked for."""
        return f"postgresql://{role}@/{database}?host={self.folder}&port={self.port}"

    def tcp_url(self, database: str, role: str = ROLE, options: str = "") -> str:
        """Over TCP, where it is."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}{options}"

    def fresh(self, template: str = MIGRATED) -> str:
        """The name of a new database that is like another one, which nobody is connected to."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}")
        return name

    def drop(self, name: str) -> None:
        """Whoever is connected to it."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres", role: str = "postgres") -> Sequence[tuple[Any, ...]]:
        """Run one statement by itself; its rows, if it has any."""
        where = {"host": str(self.folder), "port": self.port, "user": role, "dbname": database, "connect_timeout": 5}
        with psycopg.connect(autocommit=True, **where) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _as_user(self, *words: str) -> list[str]:
        user = unix_user.for_app()
        become = [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *become, *words, "--"]


@contextmanager
def cluster(disk_mib: int = 0, **settings: str) -> Iterator[Cluster]:
    """A server that runs, with settings of its own, and is gone afterwards.

    With `disk_mib` it is on a disk of its own, so small; that needs root, as `make test` in CI has.
    """
    with _placed(disk_mib) as folder:
        one = Cluster(folder, settings)
        try:
            one.make()
            one.start()
            one.furnish()
            yield one
        finally:
            one.stop()


@contextmanager
def standby(of: Cluster) -> Iterator[Cluster]:
    """A server that follows another one, and whose word that one waits for with each commit."""
    with _placed() as folder:
        one = Cluster(folder)
        try:
            one.follow(of)
            one.start()
            of.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
            of.execute("SELECT pg_reload_conf()")
            waits = "SELECT sync_state FROM pg_stat_replication"
            until(lambda: of.execute(waits) == [("quorum",)], "the primary waits for its standby")
            yield one
        finally:
            one.stop()


@contextmanager
def _placed(disk_mib: int = 0) -> Iterator[Path]:
    """A folder of the server's user."""
    unix_user.create()
    folder = Path(tempfile.mkdtemp(prefix="portcullis-pg-", dir=places.FOLDER))
    user = unix_user.for_app()
    if disk_mib:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m,mode=700", "tmpfs", folder], check=True)
    try:
        if os.geteuid() == 0:
            os.chown(folder, user.uid, user.gid)
        yield folder
    finally:
        if disk_mib:
            subprocess.run(["umount", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def database_of(url: str) -> str:
    """The name of the database that a URL of a cluster names."""
    found = re.search(r"/(store_\d+)\?", url) or re.search(r"/(store_\d+)$", url)
    assert found, url
    return found[1]
