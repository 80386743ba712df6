"""site.yml on five hosts: from bare to one chat behind two edges, and nothing to do the second time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.model import DEFAULT_ROOM
from app.verdict import CloseCode
from client.api import Api
from client.client import Client
from client.errors import Throttled
from client.frames import Message
from lab import outside
from lab.__main__ import EDGES, FIVE, MANAGER
from stack.problem import Problem
from tests.lab.five.cluster import URL, Cluster, Session
from tests.lab.five.conftest import Deployed
from tests.lab.five.ways import Ways
from tests.patience import PATIENCE

SECOND = 1.0
BURST, PER_SECOND, CONNECTIONS = 5, 1.0, 5
"""The defaults of a user's posts and connections."""
NODE_PORTS = (2377, 7946)
INNER_PORTS = (5432, 6379, 9090, 9093, 9100, 9443, 9600, 26379)


async def messages(client: Client, count: int) -> AsyncIterator[Message]:
    """The next ones."""
    async for item in client:
        if isinstance(item, Message):
            yield item
            count -= 1
        if not count:
            return


def test_check_mode_on_bare_hosts_ends_well(deployed: Deployed) -> None:
    """It foretells work."""
    assert deployed.foretold.code == 0, deployed.foretold.said[-4000:]
    assert deployed.foretold.changed() > 0


def test_each_edge_is_spoken_to_from_outside(cluster: Cluster) -> None:
    """Over WSS from another machine on the standard port, the certificate checked."""
    token = cluster.token("outsider")
    for edge in EDGES:
        assert outside.round_trip(cluster[edge], outside.NAME, token, cluster.authority) == "well"
        with pytest.raises(Problem, match="Hostname mismatch"):
            outside.round_trip(cluster[edge], "elsewhere.lab.test", token, cluster.authority)


def test_the_second_run_changes_nothing(deployed: Deployed) -> None:
    """The same playbook again, and then in check mode."""
    second = deployed.playbook("site")
    assert second.changed() == 0, second.said
    foretold = deployed.playbook("site", "--check")
    assert foretold.changed() == 0, foretold.said


async def test_clients_of_one_edge_hear_those_of_the_other(cluster: Cluster) -> None:
    """Each posts, and both have both messages, in one order."""
    tokens = [await asyncio.to_thread(cluster.token, f"of-{edge}") for edge in EDGES]
    one, two = (cluster.client(edge, f"of-{edge}", token) for edge, token in zip(EDGES, tokens, strict=True))
    async with one, two:
        for client in (one, two):
            await client.join(DEFAULT_ROOM)
        posts = [await one.room(DEFAULT_ROOM).post("by the first"), await two.room(DEFAULT_ROOM).post("by the second")]
        assert posts[1] == posts[0] + 1
        for client in (one, two):
            heard = [event.offset async for event in messages(client, len(posts))]
            assert heard == posts


async def test_posts_are_counted_over_hosts(cluster: Cluster) -> None:
    """Eight at once of one user by two edges: five pass, and what comes back meanwhile; the others are told to wait."""
    token = await asyncio.to_thread(cluster.token, "busy")
    one, two = (cluster.client(edge, "busy", token, patience=0.0) for edge in EDGES)
    async with one, two:
        for client in (one, two):
            await client.join(DEFAULT_ROOM, patience=PATIENCE)
        began = time.monotonic()
        answers = await asyncio.gather(
            *(client.room(DEFAULT_ROOM).post(f"post {number}") for number in range(4) for client in (one, two)),
            return_exceptions=True,
        )
        took = time.monotonic() - began
        passed = sum(isinstance(answer, int) for answer in answers)
        throttled = sum(isinstance(answer, Throttled) for answer in answers)
        assert passed + throttled == len(answers), answers
        assert BURST <= passed <= BURST + took * PER_SECOND


async def test_connections_are_counted_over_hosts(cluster: Cluster) -> None:
    """Five of one user by two edges, and no sixth by either."""
    token = await asyncio.to_thread(cluster.token, "many")
    async with AsyncExitStack() as held:
        for number in range(CONNECTIONS):
            await held.enter_async_context(cluster.connect(EDGES[number % 2], Authorization=f"Bearer {token}"))
        for edge in EDGES:
            assert await cluster.refusal(edge, token) == "user_connections"


async def test_a_revocation_reaches_every_host_within_a_second(cluster: Cluster) -> None:
    """Who signs out by one edge is disconnected at both."""
    password = await asyncio.to_thread(cluster.account, "leaver")
    async with Ways([cluster[EDGES[0]].address], random.Random(1)) as way, AsyncExitStack() as held:  # noqa: S311
        session = Session("leaver", password, way.port, cluster.tls)
        proof = await session.proof(Api(URL))
        origin = {"Origin": f"https://{outside.NAME}"}
        sockets = [await held.enter_async_context(cluster.connect(edge, **proof.headers | origin)) for edge in EDGES]
        began = time.monotonic()
        await session.close(Api(URL))
        for socket in sockets:
            await socket.wait_closed()
        assert time.monotonic() - began < SECOND
        assert [socket.close_code for socket in sockets] == [CloseCode.REVOKED] * len(EDGES)


def test_from_outside_only_the_edges_and_ssh_answer(cluster: Cluster) -> None:
    """On every host, whatever the engine and the Swarm listen on."""
    asked = (22, 80, 443, *NODE_PORTS, *INNER_PORTS)
    for name in FIVE:
        assert outside.answering(cluster[name], asked) == ({22, 80, 443} if name in EDGES else {22}), name


async def test_a_reload_of_the_firewall_closes_no_socket_and_hides_no_address(cluster: Cluster) -> None:
    """On every host, under connections by each edge; whoever comes next is logged as who they are by edge and app."""
    token = await asyncio.to_thread(cluster.token, "resident")
    async with AsyncExitStack() as held:
        sockets = [
            await held.enter_async_context(cluster.connect(edge, Authorization=f"Bearer {token}")) for edge in EDGES
        ]
        for name in FIVE:
            await asyncio.to_thread(cluster[name].shell, "systemctl reload portcullis-firewall")
        for one in sockets:
            await asyncio.wait_for(await one.ping(), PATIENCE)
        for edge in EDGES:
            logged = await cluster.refusal_logged(edge)
            assert [line["address"] for line in logged] == [outside.own_address(cluster[edge])] * 2


def test_no_secret_is_said_or_written_down(deployed: Deployed) -> None:
    """Not by the playbooks, and not in the journal of any host."""
    said = (deployed.cluster.lab.folder / "playbooks.log").read_text()
    secrets = set()
    for name in FIVE:
        host = deployed.cluster[name]
        said += host.ssh("sudo", "journalctl", "--no-pager", "--output=cat", seconds=60.0).stdout
    found = deployed.cluster[MANAGER].ssh("sudo sh -c 'cat /var/lib/portcullis/containers/secrets/*_password'").stdout
    secrets |= {line.strip() for line in found.splitlines()}
    tokens = deployed.cluster[MANAGER].ssh("sudo docker swarm join-token --quiet worker").stdout.split()
    assert len(secrets) > 5
    assert tokens
    assert not [secret for secret in {*secrets, *tokens} if secret in said]
