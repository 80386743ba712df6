"""The PostgreSQL servers of a cluster, in containers."""

from __future__ import annotations

from stack import engine
from stack.contained_secrets import POSTGRES
from tests.containers.peers import SECONDS, Peers
from tests.patience import until

NAMES = ONE, TWO, THREE = ("postgres-1", "postgres-2", "postgres-3")
PASSWORDS = {
    "portcullis_owner": "postgres_owner_password",
    "portcullis": "postgres_password",
    "portcullis_watch": "postgres_watch_password",
}
TABLE = "CREATE TABLE kept (n int); GRANT ALL ON kept TO portcullis; GRANT USAGE ON SCHEMA public TO portcullis"
ROW = "INSERT INTO kept VALUES"
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

    def prepare(self) -> None:
        """What they need: certificates, passwords, and room."""
        self.certificates("servers", ("postgres", "portcullis_replica"))
        self.certificates("clients", tuple(PASSWORDS))
        for file in PASSWORDS.values():
            self.secret(file)
        for name in NAMES:
            self.volume(name)

    def start_all(self) -> None:
        """The first one's data, and all three; until they stream and a table is there that the app's role writes to."""
        self.make_first()
        for name in NAMES:
            self.start(name)
        until(lambda: self.standbys(ONE) == 2, "two standbys stream", SECONDS)
        until(
            lambda: self.inside(ONE, "test", "-e", "/var/lib/postgresql/first")[0], "it waits for somebody from now on"
        )
        assert self.client("portcullis_owner", "portcullis_owner", TABLE) == (0, "")

    def ask(self, name: str, question: str, database: str = "postgres") -> str:
        """What a server answers its superuser; empty while it does not."""
        words = ("psql", "-XAtq", "--username=postgres", f"--dbname={database}", f"--command={question}")
        done = engine.attempt("exec", self.container(name), *words)
        # The engine says on standard output, too, why it cannot.
        return "" if done.returncode else done.stdout.strip()

    def standbys(self, name: str) -> int:
        """How many stream from it, each of which counts for a commit."""
        return int(self.ask(name, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") or 0)

    def states(self, name: str) -> dict[str, tuple[str, int]]:
        """What each server is and how far, asked from one's container."""
        lines = [line.split() for line in self.peer(name, "states")[1].splitlines()]
        return {one: (role, int(far)) for one, role, far in lines}

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
