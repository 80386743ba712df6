"""Three Valkey servers and three Sentinels: who is lost is replaced, and does not come back as the primary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from stack import contained_secrets, engine
from stack.contained_secrets import VALKEY
from tests.containers.peers import SECONDS, Peers, network
from tests.patience import until

SERVERS = ONE, TWO, THREE = ("valkey-1", "valkey-2", "valkey-3")
SENTINELS = ("sentinel-1", "sentinel-2", "sentinel-3")


class Servers(Peers):
    """Valkey's, and its Sentinels."""

    image = "valkey"
    uid = VALKEY

    def words(self, name: str) -> list[str]:
        """The secrets, and who it and the others are."""
        files = (
            ("valkey_users", "valkey_replica_password") if name in SERVERS else ("sentinel_users", "sentinel_password")
        )
        mounts = [f"{self.folder / 'servers'}:/run/stores:ro"]
        mounts += [f"{self.folder / file}:/run/secrets/{file}:ro" for file in files]
        who = {"SELF": name, "PEERS": " ".join(SERVERS), "SENTINELS": " ".join(SENTINELS)}
        return [
            "--tmpfs=/tmp:size=32m,mode=1777",
            *(f"--volume={one}" for one in mounts),
            *(f"--env={key}={one}" for key, one in who.items()),
        ]

    def command(self, name: str) -> tuple[str, ...]:
        """A Sentinel is told that it is one."""
        return (*super().command(name), *(["sentinel"] if name in SENTINELS else []))

    def ask(self, name: str, command: str, user: str = "health", word: str = "none") -> str:
        """What a server or a Sentinel answers, over TLS from inside its container."""
        port = 6379 if name in SERVERS else 26379
        words = f"valkey-cli --tls --cacert /run/stores/ca.pem -p {port}"
        given = f"AUTH {user} {word}\n{command}\n"
        done = engine.attempt("exec", "--interactive", self.container(name), "sh", "-c", words, given=given)
        return "\n".join(done.stdout.splitlines()[1:])

    def app(self, name: str, command: str) -> str:
        """The same as the app asks."""
        return self.ask(name, command, "portcullis", (self.folder / "app_password").read_text().strip())

    def role(self, name: str) -> str:
        """`master`, `slave`, or nothing."""
        return self.ask(name, "ROLE").partition("\n")[0]

    def primary(self, *sentinels: str) -> set[str]:
        """Whom these Sentinels call so."""
        question = "SENTINEL GET-MASTER-ADDR-BY-NAME portcullis"
        return {self.ask(name, question).partition("\n")[0] for name in sentinels or SENTINELS}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Everybody is there and knows everybody."""
    with network(Servers) as made:
        made.certificates("servers", ("valkey",))
        app, replica, sentinel, watch = (
            made.secret(name) for name in ("app_password", "valkey_replica_password", "sentinel_password", "watch")
        )
        digests = [hashlib.sha256(one.encode()).hexdigest() for one in (app, watch, replica, sentinel)]
        made.secret("valkey_users", contained_secrets.cluster_users(*digests))
        made.secret("sentinel_users", contained_secrets.sentinel_users(digests[0], digests[3]))
        for name in (*SENTINELS, *SERVERS):
            made.start(name)
        until(lambda: made.role(ONE) == "master", "the first one is the primary", SECONDS)
        until(lambda: made.role(TWO) == made.role(THREE) == "slave", "the others follow it", SECONDS)
        known = "slaves=2,sentinels=3"
        until(
            lambda: all(known in made.ask(one, "INFO sentinel", *_sentinel(made)) for one in SENTINELS), known, SECONDS
        )
        yield made


def _sentinel(servers: Servers) -> tuple[str, str]:
    return "sentinel", (servers.folder / "sentinel_password").read_text().strip()


def test_a_lost_primary_is_replaced_and_comes_back_as_a_replica(servers: Servers) -> None:
    """What was written is on the new one; the old one, started at once, waits until it is no primary any more."""
    assert servers.app(ONE, "SET {portcullis}:kept 1 PX 600000") == "OK"
    until(lambda: servers.app(TWO, "GET {portcullis}:kept") == "1", "it is copied")
    servers.kill(ONE)
    servers.start_again(ONE)
    until(lambda: servers.primary() <= {TWO, THREE}, "the Sentinels name another", SECONDS)
    (leads,) = servers.primary()
    until(lambda: servers.role(leads) == "master", "which is one", SECONDS)
    assert servers.app(leads, "GET {portcullis}:kept") == "1"
    until(lambda: servers.role(ONE) == "slave", "the former one follows", SECONDS)
    until(lambda: servers.app(ONE, "GET {portcullis}:kept") == "1", "and has everything", SECONDS)


def test_who_may_ask_may_ask_no_more(servers: Servers) -> None:
    """Without a password a Sentinel says who the primary is and nothing else; the app may ask it just that."""
    assert "NOPERM" in servers.ask(SENTINELS[0], "SENTINEL FAILOVER portcullis")
    password = (servers.folder / "app_password").read_text().strip()
    assert "NOPERM" in servers.ask(SENTINELS[0], "SENTINEL RESET portcullis", "portcullis", password)
    assert servers.ask(SENTINELS[0], "SENTINEL GET-MASTER-ADDR-BY-NAME portcullis", "portcullis", password)
    assert "NOPERM" in servers.ask(TWO, "GET {portcullis}:kept")
