"""Three PostgreSQL servers: what one acks is on two, whoever is lost; and there are never two primaries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stack import engine
from stack.contained_secrets import POSTGRES
from tests.containers.peers import SECONDS, Peers, network
from tests.patience import until

NAMES = ONE, TWO, THREE = ("postgres-1", "postgres-2", "postgres-3")
PASSWORDS = {
    "portcullis_owner": "postgres_owner_password",
    "portcullis": "postgres_password",
    "portcullis_watch": "postgres_watch_password",
}
TABLE = "CREATE TABLE kept (n int); GRANT ALL ON kept TO portcullis; GRANT USAGE ON SCHEMA public TO portcullis"
ROW = "INSERT INTO kept VALUES"
TIMED_OUT = 124
SOCKETS = "/tmp"  # noqa: S108 - of the container


class Servers(Peers):
    """PostgreSQL's, each with a volume."""

    image = "postgres"
    uid = POSTGRES

    def words(self, name: str) -> list[str]:
        """Its volume, the secrets, and who it and the others are."""
        mounts = [f"{self.container(name)}:/var/lib/postgresql", f"{self.folder / 'servers'}:/run/stores:ro"]
        mounts += [f"{self.folder / file}:/run/secrets/{file}:ro" for file in PASSWORDS.values()]
        who = {"SELF": name, "PEERS": " ".join(NAMES), "PGHOST": SOCKETS}
        words = [*(f"--volume={one}" for one in mounts), *(f"--env={key}={one}" for key, one in who.items())]
        return ["--tmpfs=/tmp:size=64m,mode=1777", *words]

    def volume(self, name: str) -> None:
        """Room for its data."""
        engine.run("volume", "create", f"--label={self.label}", self.container(name))

    def make_first(self) -> None:
        """The data of the very first primary."""
        self.run("--rm", *self.words(ONE), self.built[self.image], *self.command(ONE), "first")

    def forget(self, name: str) -> None:
        """Its container and its data."""
        engine.run("rm", "--force", self.container(name))
        engine.run("volume", "rm", self.container(name))
        self.volume(name)

    def ask(self, name: str, question: str, database: str = "postgres") -> str:
        """What a server answers its superuser; empty while it does not."""
        words = ("psql", "-XAtq", "--username=postgres", f"--dbname={database}", f"--command={question}")
        done = engine.attempt("exec", self.container(name), *words)
        # The engine says on standard output, too, why it cannot.
        return "" if done.returncode else done.stdout.strip()

    def standbys(self, name: str) -> int:
        """How many stream from it, each of which counts for a commit."""
        return int(self.ask(name, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") or 0)

    def kept(self, name: str) -> list[int]:
        """The rows that a server has."""
        return [int(line) for line in self.ask(name, "SELECT n FROM kept ORDER BY n", "portcullis").split()]

    def client(self, role: str, certificate: str, command: str, seconds: int = 20) -> tuple[int, str]:
        """A command of psql from another container, as a role with a certificate, or with none: status and words."""
        url = f"host={','.join(NAMES)} dbname=portcullis user={role} target_session_attrs=read-write connect_timeout=3"
        url += " sslmode=verify-full sslrootcert=/run/stores/ca.pem"
        if certificate:
            url += f" sslcert=/run/stores/{certificate}.pem sslkey=/run/stores/{certificate}.key"
        # The password goes in by standard input: it stands in no command line.
        script = f'read -r PGPASSWORD; export PGPASSWORD; timeout {seconds} psql -XAtq "{url}" -c "{command}" 2>&1'
        password = (self.folder / PASSWORDS[role]).read_text()
        mount = f"--volume={self.folder / 'clients'}:/run/stores:ro"
        words = ("--rm", "--interactive", mount, self.built[self.image], "sh", "-c", f'{script}; echo "$?"')
        *said, status = self.run(*words, given=password).splitlines()
        return int(status), "\n".join(said)

    def write(self, number: int, seconds: int = 20) -> int:
        """A row by the app's role; psql's status."""
        return self.client("portcullis", "portcullis", f"{ROW} ({number})", seconds)[0]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Three that stream, the first of which is the primary, with a table that the app's role may write to."""
    with network(Servers) as made:
        made.certificates("servers", ("postgres", "portcullis_replica"))
        made.certificates("clients", tuple(PASSWORDS))
        for file in PASSWORDS.values():
            made.secret(file)
        for name in NAMES:
            made.volume(name)
        made.make_first()
        for name in NAMES:
            made.start(name)
        until(lambda: made.standbys(ONE) == 2, "two standbys stream", SECONDS)
        until(
            lambda: made.inside(ONE, "test", "-e", "/var/lib/postgresql/first")[0], "it waits for somebody from now on"
        )
        assert made.client("portcullis_owner", "portcullis_owner", TABLE) == (0, "")
        yield made


def test_who_has_no_certificate_of_its_own_is_not_let_in(servers: Servers) -> None:
    """The password alone does not do, nor does another role's certificate with it; both together do."""
    question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert servers.client("portcullis", "portcullis", question) == (0, "t")
    status, said = servers.client("portcullis", "", question)
    assert status == 2 and "requires a valid client certificate" in said
    status, said = servers.client("portcullis", "portcullis_watch", question)
    assert status == 2 and "authentication failed" in said


def test_a_commit_waits_for_a_standby(servers: Servers) -> None:
    """With both standbys gone nothing is acked; with them back the next one is."""
    assert servers.write(1) == 0
    for name in (TWO, THREE):
        servers.kill(name)
    assert servers.write(2, seconds=4) == TIMED_OUT
    for name in (TWO, THREE):
        servers.start_again(name)
    until(lambda: servers.standbys(ONE) == 2, "both stream again", SECONDS)
    assert servers.write(3) == 0
    assert {1, 3} <= set(servers.kept(ONE))


def test_a_lost_primary_is_followed_and_does_not_come_back_as_one(servers: Servers) -> None:
    """A standby is promoted, not before; the other follows it; the lost one may not serve, and is made anew."""
    status, said = servers.peer(TWO, "promote")
    assert status == 78 and f"{ONE} is the primary" in said
    assert servers.write(10) == 0
    acked = servers.kept(ONE)
    servers.kill(ONE)
    received = {name: int(servers.ask(name, "SELECT pg_last_wal_receive_lsn() - '0/0'")) for name in (TWO, THREE)}
    leads, other = sorted(received, key=lambda name: received[name], reverse=True)
    assert servers.peer(leads, "promote")[0] == 0
    until(lambda: servers.standbys(leads) == 1, "the other one follows", SECONDS)
    assert set(acked) <= set(servers.kept(leads))
    assert servers.write(11) == 0
    servers.start_again(ONE)
    until(lambda: "make it anew" in servers.said(ONE), "it says that it may not", SECONDS)
    assert servers.ask(ONE, "SELECT 1") == ""
    servers.forget(ONE)
    servers.start(ONE)
    until(lambda: servers.standbys(leads) == 2, "the former primary is a standby", SECONDS)
    assert servers.write(12) == 0
    until(lambda: servers.kept(ONE) == servers.kept(other) == servers.kept(leads), "all have the same")


def test_a_primary_alone_waits_for_somebody_who_knows(servers: Servers) -> None:
    """Started with nobody to ask it lets nobody in, without counting as ill; a standby's answer is enough."""
    (leads,) = [name for name in NAMES if servers.ask(name, "SELECT pg_is_in_recovery()") == "f"]
    engine.run("stop", *(servers.container(name) for name in NAMES))
    servers.start_again(leads)
    until(lambda: "waiting for a standby" in servers.said(leads), "it waits", SECONDS)
    assert servers.peer(leads, "healthy") == (0, "")
    assert servers.ask(leads, "SELECT 1") == ""
    for name in NAMES:
        servers.start_again(name)
    until(lambda: servers.standbys(leads) == 2, "all are there again", SECONDS)
    assert servers.write(20) == 0
    assert servers.peer(leads, "healthy") == (0, "")
