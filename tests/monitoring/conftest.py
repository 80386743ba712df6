"""A Prometheus that watches a real app on PostgreSQL and Valkey, with every exporter, after a little of everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from functools import partial

import pytest

from monitoring.alerts import FOLDER
from stack.place import CLONE, Place
from tests import canary
from tests.clients import end_clients
from tests.contract.servers import running as valkey_running
from tests.monitoring import parts
from tests.monitoring.series import of_edge
from tests.monitoring.watch import Prometheus, prometheus
from tests.patience import until
from tests.postgres import Cluster
from tests.socket.server import Server, new_name, running
from tests.socket.together import database, shared

JOBS = 8
TIGHT = {"posts_per_user_burst": "3", "posts_per_user_per_second": "0.1"}
MEMORY = ("--maxmemory", "64mb")


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Prometheus]:
    """It has seen a quiet stack, and then people who talk and people who are refused."""
    folder = tmp_path_factory.mktemp("watched")
    with contextlib.ExitStack() as open_:
        url = open_.enter_context(database(cluster))
        valkey = open_.enter_context(valkey_running("valkey", *MEMORY))
        server = open_.enter_context(running(folder / "app", **shared(url, valkey, **TIGHT)))
        addresses = {
            "counter": open_.enter_context(parts.counter(Place(CLONE, server.state), log_lines())),
            "node": open_.enter_context(parts.node(folder)),
            "postgres": open_.enter_context(parts.postgres(folder, cluster)),
            "valkey": open_.enter_context(parts.valkey(folder, valkey)),
            "alertmanager": open_.enter_context(parts.alertmanager(folder, FOLDER / "alertmanager.yml")),
        }
        one = open_.enter_context(prometheus(folder, addresses))
        until(lambda: len(one.ask("count_over_time(up[1m]) > 1")) == JOBS, "two scrapes of everything")
        for number in (1, 2):  # a series that begins has no rate yet
            asyncio.run(talk(server))
            with (server.state / "logs" / "edge-access.log").open("a") as log:
                log.write(log_lines())
            accepted = f'chat_messages_total{{outcome="accepted"}} >= {3 * number}'
            until(partial(one.ask, accepted), "the talk is scraped")
        yield one


def log_lines() -> str:
    """One line for each reason that the edge can have, and one for an answer of each class."""
    refusals = [{"status": "429", "refusal": reason} for reason in sorted(of_edge()["edge_rejected_total"])]
    answers = [{"status": f"{number}00", "refusal": ""} for number in range(1, 6)]
    return "".join(json.dumps(line, separators=(",", ":"))[:-1] + ',"x":""}\n' for line in [*refusals, *answers])


async def talk(server: Server) -> None:
    """Two people, posts, a throttle, nonsense, and somebody who may not come in."""
    ann, bob = [await server.connect(await server.token(new_name())) for _ in range(2)]
    for client in (ann, bob):
        await client.join()
    for _ in range(5):
        await ann.post(canary.word("message"))
    await bob.send(type="nonsense")
    await bob.until(type="error")
    await server.refused(None)
    await end_clients()
