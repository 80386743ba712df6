"""A stack without containers on stores that somebody else runs: several workers behind the same edge."""

from __future__ import annotations

from tests.contract.servers import running as redis_running
from tests.patience import until
from tests.postgres import Cluster
from tests.socket.together import database
from tests.stack.conftest import NewStack
from tests.stack.through import Through


async def test_two_workers_behind_the_edge(another: NewStack, cluster: Cluster) -> None:
    """Two URLs in the settings are all it takes; both workers serve, and are counted together."""
    with database(cluster) as url, redis_running("redis") as redis, another() as mine:
        for path in (redis.socket.parent, redis.socket):
            path.chmod(0o777)
        (mine.state / "settings.env").write_text(
            f"DATABASE_URL={url}\nREDIS_URL=unix://{redis.socket}\nWORKERS=2\nPORTCULLIS_CONNECTIONS_PER_ADDRESS=50\n"
        )
        mine.up()
        assert "healthy" in mine.make("status").stdout
        master = mine.pid("app")
        assert len([one for one in mine.processes() if one.parent == master]) == 2
        mine.user("ann")
        through, token = Through(mine), mine.token("ann")
        clients = [await through.connect(token) for _ in range(4)]
        for client in clients:
            await client.join()
        assert (await clients[0].post("hello, all"))["type"] == "ack"
        for client in clients[1:]:
            await client.until(type="message", message="hello, all")
        for _ in range(4):
            assert mine.sample("chat_connections") == 4
        assert "nothing was changed" in mine.make("up").stdout
        until(lambda: mine.sample('chat_degraded{backend="redis"}') == 0, "nothing is degraded")
