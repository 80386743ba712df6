"""The repository of a cluster: what was acked before the last archived moment outlives all servers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from stack import engine
from stack.problem import Problem
from tests.containers.peers import SECONDS, network
from tests.containers.postgres_peers import NAMES, ONE, THREE, TWO, Servers
from tests.patience import SCALE, until

REPOSITORY = "repository"
CHAT = """
CREATE TABLE accounts (id int); CREATE TABLE alembic_version (version_num text);
CREATE TABLE rooms (id int, "offset" int, floor int); CREATE TABLE events (room int, "offset" int);
INSERT INTO accounts VALUES (1), (2); INSERT INTO alembic_version VALUES ('0042');
INSERT INTO rooms VALUES (1, 3, 0), (2, 7, 7); INSERT INTO events VALUES (1, 2), (1, 3);
"""
"""As much of the app's schema as a drill looks at."""
COUNTED = "2 accounts, 2 rooms and 2 events, schema 0042"
STATED_RPO = 60
LATENESS = 15 * SCALE
"""Beyond what is stated, for a machine that does something else besides."""
AGE = "cd /var/lib/pgbackrest && touch --date='8 days ago' full backup drilled && rm -f tried"
KILL_LENDER = """
for one in /proc/[0-9]*; do
    case "$(tr '\\0' ' ' <"$one/cmdline")" in "pgbackrest server "*) kill -9 "${one#/proc/}" ;; esac
done
"""


def hour_in(seconds: float) -> int:
    """The hour that it is then (UTC)."""
    return time.gmtime(time.time() + seconds).tm_hour


class Archived(Servers):
    """Servers with a repository."""

    hour = hour_in(12 * 3600)
    """Of its night, which begins when a test says so."""

    def words(self, name: str) -> list[str]:
        """Those of the repository are its own."""
        if name != REPOSITORY:
            return super().words(name)
        mounts = [f"{self.container(name)}:/var/lib/pgbackrest", f"{self.folder / REPOSITORY}:/run/stores:ro"]
        mounts.append(f"{self.container('facts')}:/var/lib/portcullis/facts")
        return [
            "--tmpfs=/tmp:size=64m,mode=1777",
            f"--env=BACKUP_HOUR={self.hour}",
            *(f"--volume={one}" for one in mounts),
        ]

    def command(self, name: str) -> tuple[str, ...]:
        """The repository serves."""
        return ("sh", "/etc/portcullis/repository.sh", "serve") if name == REPOSITORY else super().command(name)

    def start_repository(self) -> None:
        """With nothing in it."""
        self.certificates(REPOSITORY, (REPOSITORY,))
        for name in (REPOSITORY, "facts"):
            self.volume(name)
        self.start(REPOSITORY)

    def repository(self, *words: str) -> tuple[int, str]:
        """One of the repository's commands: its status and its words."""
        return self.inside(REPOSITORY, "sh", "/etc/portcullis/repository.sh", *words)

    def facts(self) -> dict[str, float]:
        """What the repository states."""
        _, text = self.inside(REPOSITORY, "sh", "-c", "cat /var/lib/portcullis/facts/*.prom")
        lines = (line.split() for line in text.splitlines() if not line.startswith(("#", "cat:")))
        return {name: float(value) for name, value in lines}

    def archive(self, name: str) -> str:
        """Finish the segment of a primary, and wait until the repository has all; the segment."""
        segment = self.ask(name, "SELECT pg_walfile_name(pg_switch_wal() - 1)")
        until(lambda: self.archived(name, segment), f"{segment} is archived", SECONDS)
        return segment

    def archived(self, name: str, segment: str) -> bool:
        """Whether the repository has a segment, and nothing waits for it."""
        files = self.ask(name, "SELECT name FROM pg_ls_archive_statusdir()").split()
        return f"{segment}.done" in files and not any(file.endswith(".ready") for file in files)

    def stranger(self, folder: str, certificate: str) -> str:
        """What the repository answers whoever shows this certificate."""
        files = [f"--repo1-host-{kind}-file=/run/stores/{certificate}" for kind in ("cert", "key")]
        words = ["pgbackrest", "--config=/etc/portcullis/archive.conf", "--stanza=portcullis", "--io-timeout=2"]
        command = [*words, f"{files[0]}.pem", f"{files[1]}.key", "info"]
        mount = f"--volume={self.folder / folder}:/run/stores:ro"
        return self.run("--rm", mount, "--tmpfs=/tmp:size=16m,mode=1777", self.built[self.image], *command)

    def spoil(self, path: str) -> None:
        """Other bytes in the middle of a file of the repository."""
        script = 'for file in $0; do printf rotten | dd of="$file" bs=1 seek=100 conv=notrunc status=none; done'
        assert self.inside(REPOSITORY, "sh", "-c", script, f"/var/lib/pgbackrest/repository/{path}")[0] == 0

    def lose_all(self) -> None:
        """Every server and its data at once, as with their hosts; new ones wait."""
        for act in (self.forget, self.start):
            for name in NAMES:
                act(name)

    def once(self, *words: str) -> str:
        """A job on the first server's host."""
        return self.run("--rm", *self.words(ONE), self.built[self.image], *self.command(ONE), *words)

    def restore(self, *moment: str) -> str:
        """As a job while the new servers wait; until all stream. Its words."""
        said = self.once("restore", *moment)
        until(lambda: self.standbys(ONE) == 2, "two standbys stream", SECONDS)
        return said


@pytest.fixture(scope="module")
def servers() -> Iterator[Archived]:
    """Three servers and their repository, which has made its first backup by itself."""
    with network(Archived) as made:
        made.prepare()
        made.start_repository()
        made.start_all()
        until(lambda: "portcullis_backup_timestamp_seconds" in made.facts(), "the first backup", SECONDS)
        assert made.ask(ONE, CHAT, "portcullis") == ""
        yield made


def test_who_has_no_servers_certificate_is_refused(servers: Archived) -> None:
    """Neither another role's certificate opens the repository, nor one of another authority; a server's does."""
    assert "full backup" in servers.stranger("servers", "portcullis_replica")
    servers.certificates("others", ("portcullis_replica",), "another")
    assert "access denied" in servers.stranger("clients", "portcullis_watch")
    said = servers.stranger("others", "portcullis_replica")
    assert "status: error" in said and "full backup" not in said


def test_what_is_acked_is_archived_in_the_stated_time(servers: Archived) -> None:
    """Without anybody's doing: archive_timeout is the stated bound."""
    assert servers.ask(ONE, "SHOW archive_timeout") == "1min"
    assert servers.write(1) == 0
    segment = servers.ask(ONE, "SELECT pg_walfile_name(pg_current_wal_lsn())")
    until(lambda: servers.archived(ONE, segment), "its segment is archived", STATED_RPO + LATENESS)


def test_the_lender_comes_back_and_the_server_goes_on(servers: Archived) -> None:
    """What lets the repository read the data is started again; PostgreSQL takes its end for no crash of its own."""
    pids = (
        "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE backend_type ~ 'writer|checkpoint'"
    )
    before = servers.ask(ONE, pids)
    assert servers.inside(ONE, "sh", "-c", KILL_LENDER)[0] == 0
    until(lambda: servers.inside(ONE, "pgbackrest", "server-ping")[0] == 0, "it answers again")
    assert servers.ask(ONE, pids) == before


def test_a_drill_tells_a_rotten_backup(servers: Archived) -> None:
    """It counts what is in a good one; a rotten file fails, and so does a rotten segment of the archive."""
    servers.archive(ONE)
    status, said = servers.repository("drill")
    assert status == 0 and COUNTED in said.splitlines(), said
    assert servers.facts()["portcullis_restore_drill_failed"] == 0
    assert time.time() - servers.facts()["portcullis_restore_drill_timestamp_seconds"] < SECONDS
    servers.spoil("backup/portcullis/latest/bundle/1")
    assert servers.repository("drill")[0] != 0
    assert servers.facts()["portcullis_restore_drill_failed"] == 1
    assert servers.repository("backup", "full")[0] == 0
    assert servers.repository("drill")[0] == 0
    assert servers.write(2) == 0
    servers.spoil(f"archive/portcullis/17-1/*/{servers.archive(ONE)}-*")
    status, said = servers.repository("drill")
    assert status != 0 and "is rotten" in said, said
    assert servers.repository("backup", "full")[0] == 0
    assert servers.repository("drill")[0] == 0
    assert servers.facts()["portcullis_restore_drill_failed"] == 0


def test_what_a_lost_primary_had_not_archived_is_archived_by_the_next(servers: Archived) -> None:
    """With the repository away posts go on; after a promotion nothing that waited for it is missing there."""
    servers.kill(REPOSITORY)
    assert [servers.write(number) for number in (10, 11)] == [0, 0]
    servers.ask(ONE, "SELECT pg_switch_wal()")
    until(lambda: int(servers.ask(ONE, "SELECT failed_count FROM pg_stat_archiver")) > 0, "it fails", SECONDS)
    assert servers.write(12) == 0
    until(lambda: {10, 11, 12} <= set(servers.kept(TWO)) & set(servers.kept(THREE)), "both have it")
    servers.kill(ONE)
    assert servers.peer(TWO, "promote")[0] == 0
    until(lambda: servers.standbys(TWO) == 1, "the other one follows", SECONDS)
    servers.start_again(REPOSITORY)
    assert servers.write(13) == 0
    servers.archive(TWO)
    status, said = servers.repository("drill")
    assert status == 0 and COUNTED in said.splitlines(), said


def test_everything_before_the_last_archived_moment_outlives_all_servers(servers: Archived) -> None:
    """New hosts have what was acked until then; what was acked later is gone, and the restore says from when on."""
    assert servers.write(20) == 0
    servers.archive(TWO)
    assert servers.write(21) == 0
    acked = set(servers.kept(TWO))
    servers.lose_all()
    with pytest.raises(Problem, match="has backups of a database that no server has"):
        servers.once("first")
    said = servers.restore()
    assert "Restored up to 20" in said and "what was acked later is not in it" in said
    assert set(servers.kept(ONE)) == acked - {21}
    with pytest.raises(Problem, match="nothing is restored over it"):
        servers.once("restore")
    assert servers.write(22) == 0
    servers.archive(ONE)
    assert servers.repository("backup", "full")[0] == 0
    until(lambda: servers.kept(THREE) == servers.kept(TWO) == servers.kept(ONE), "all have the same")


def test_it_can_be_gone_back_to_a_moment(servers: Archived) -> None:
    """What was done by then is there, and nothing that came after it; the next drill follows the new line of time."""
    assert servers.write(30) == 0
    moment = servers.ask(ONE, "SELECT clock_timestamp()")
    assert servers.write(31) == 0
    servers.archive(ONE)
    servers.lose_all()
    said = servers.restore(moment)
    assert "Restored up to 20" in said
    assert {20, 22, 30} <= set(servers.kept(ONE)) and not {21, 31} & set(servers.kept(ONE))
    assert servers.write(32) == 0
    assert servers.repository("backup", "full")[0] == 0
    assert servers.repository("drill")[0] == 0


def test_what_is_due_is_done_in_its_hour(servers: Archived) -> None:
    """A full backup and a drill that are a week old are done anew, and not before the hour that is set."""
    assert servers.inside(REPOSITORY, "sh", "-c", AGE)[0] == 0
    begun = time.time()
    engine.run("restart", servers.container(REPOSITORY))
    until(lambda: servers.inside(REPOSITORY, "pgbackrest", "server-ping")[0] == 0, "it serves")
    assert max(servers.facts().values()) < begun
    engine.run("rm", "--force", servers.container(REPOSITORY))
    # It looks once a minute, and one may be over before the hour that this is.
    servers.hour = hour_in(SECONDS / 2)
    servers.start(REPOSITORY)
    until(lambda: servers.facts()["portcullis_restore_drill_timestamp_seconds"] > begun, "a drill", 3 * SECONDS)
    assert servers.facts()["portcullis_backup_timestamp_seconds"] > begun
    assert servers.inside(REPOSITORY, "find", "/var/lib/pgbackrest/full", "-mmin", "-5")[1] != ""
