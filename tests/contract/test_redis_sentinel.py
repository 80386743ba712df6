"""A primary that Sentinels watch over: the link follows it wherever it goes, and is never served by a replica."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.redis_pipe import RedisDown
from app.redis_server import Server as Where
from app.redis_server import connect
from tests.contract.servers import KINDS, Sentinel, Server, linked, running, until_true
from tests.patience import PATIENCE, until
from tests.stack.running import free_port

SENTINELS = 3
FAILOVER_SECONDS = 3 * PATIENCE
"""Noticing takes half a second here, the election and the promotion a few more on a busy machine."""
PASSWORD = "not-a-secret"
WATCH = """\
port {port}
bind 127.0.0.1
user chat on >{password} -@all +ping +sentinel|get-master-addr-by-name
sentinel monitor chat 127.0.0.1 {primary} 2
sentinel down-after-milliseconds chat 500
sentinel failover-timeout chat 6000
"""


@dataclass
class Watched:
    """A primary, its replica, and who watches over them."""

    ports: dict[int, Server]
    """The servers by their ports; the primary is the first one."""
    sentinels: dict[int, Server]
    password_file: Path

    def where(self, name: str = "chat") -> Where:
        """How the app is told."""
        places = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return Where(f"redis+sentinel://{places}/{name}", "chat", self.password_file, seconds=PATIENCE)


def field(server: Server, section: str, name: str) -> str:
    """What a server says of itself."""
    lines = dict(line.split(":", 1) for line in server.ask("INFO", section).splitlines() if ":" in line)
    return lines.get(name, "").strip()


def is_replica(server: Server) -> bool:
    """Whether it follows another."""
    return field(server, "replication", "role") == "slave"


def knows_all(sentinel: Server) -> bool:
    """Whether it has heard of the replica and of its likes."""
    return f"slaves=1,sentinels={SENTINELS}" in field(sentinel, "sentinel", "master0")


@contextlib.contextmanager
def served(kind: str, port: int, *extra: str) -> Iterator[Server]:
    """A server on a port, with the chat's user."""
    with running(kind, "--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *extra) as one:
        one.ask("ACL", "SETUSER", "chat", "on", f">{PASSWORD}", "+@all", "~*", "&*")
        yield one


@pytest.fixture(params=KINDS)
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    """Everybody knows everybody."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    kind, first, second = request.param, free_port(), free_port()
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(served(kind, first))
        replica = stack.enter_context(served(kind, second, "--replicaof", "127.0.0.1", str(first)))
        until(lambda: field(replica, "replication", "master_link_status") == "up", "the replica follows")
        ports = [free_port() for _ in range(SENTINELS)]
        words = {port: WATCH.format(port=port, primary=first, password=PASSWORD) for port in ports}
        watchers = {port: stack.enter_context(running(kind, text, make=Sentinel)) for port, text in words.items()}
        until(lambda: all(map(knows_all, watchers.values())), "the Sentinels know each other", FAILOVER_SECONDS)
        yield Watched({first: primary, second: replica}, watchers, file)


async def test_the_link_goes_where_the_primary_goes(watched: Watched) -> None:
    """It is killed, the replica takes over, and the same link writes to it; before, it served nobody."""
    (_, primary), (port, replica) = watched.ports.items()
    with pytest.raises(RedisDown, match="is a replica"):
        await connect(Where(f"redis://127.0.0.1:{port}", "chat", watched.password_file, seconds=PATIENCE))
    async with linked(watched.where()) as link:
        assert await link.call("SET", "key", "1") == b"OK"
        primary.kill()
        await until_true(lambda: not link.up, "the link is down")
        await until_true(lambda: link.up, "the link is up again", FAILOVER_SECONDS)
        assert not is_replica(replica)
        assert await link.call("SET", "key", "2") == b"OK"


async def test_any_one_sentinel_is_enough(watched: Watched) -> None:
    """Those that are gone are passed over."""
    first, second, _ = watched.sentinels.values()
    first.kill()
    second.kill()
    async with linked(watched.where()) as link:
        assert await link.call("PING") == b"PONG"


async def test_what_sentinels_do_not_watch_is_down(watched: Watched) -> None:
    """A wrong name says so, and so does a wrong password."""
    with pytest.raises(RedisDown, match="the Sentinel knows no other"):
        await connect(watched.where("other"))
    watched.password_file.write_text("wrong")
    with pytest.raises(RedisDown, match="WRONGPASS"):
        await connect(watched.where())
