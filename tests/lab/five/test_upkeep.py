"""What an operator does with a cluster that is well: a host out of use, new certificates, a backup and the way back."""

from __future__ import annotations

import asyncio

from app.model import DEFAULT_ROOM
from client.client import Client
from lab import outside
from lab.__main__ import EDGES, FIVE, MANAGER
from tests.lab.five.cluster import Cluster, thorough
from tests.lab.five.conftest import Deployed
from tests.lab.five.test_faults import SECONDS, whole
from tests.patience import until

ARCHIVED = 75.0
"""Seconds after which what was acked is in the repository: its 60, and some to get there."""
OURS = "sudo docker ps --quiet --filter label=com.docker.stack.namespace=portcullis"


def test_a_host_is_drained_and_takes_part_again(deployed: Deployed, cluster: Cluster) -> None:
    """Nothing runs there, the other edge serves; afterwards its share is there again. The primary's host says no."""
    host = cluster[EDGES[1]]
    deployed.playbook("drain-node", "--extra-vars=node=two")
    assert host.ssh(OURS).stdout.strip() == ""
    token = cluster.token("drainer")
    assert outside.round_trip(cluster[EDGES[0]], outside.NAME, token, cluster.authority) == "well"
    leads = FIVE[1 + int(cluster.primary()[-1])]
    refused = cluster.lab.playbook("drain-node", f"--extra-vars=node={leads}")
    assert refused.code != 0
    assert "has the database's primary" in refused.said.replace("\\n", " ")
    deployed.playbook("rebalance")
    until(cluster.well, "the cluster is well", SECONDS)
    assert len(host.ssh(OURS).stdout.split()) > 1
    assert outside.round_trip(host, outside.NAME, token, cluster.authority) == "well"


@thorough
async def test_every_certificate_is_made_anew(deployed: Deployed, cluster: Cluster) -> None:
    """While clients talk: stores host by host, apps one by one, edges by themselves; trust stays."""
    before = [await asyncio.to_thread(cluster.certificate, edge) for edge in EDGES]

    async def fault() -> None:
        await asyncio.to_thread(deployed.playbook, "renew-certificates", "--extra-vars=anew=true")

    await cluster.judged(fault, seed=7)
    after = [await asyncio.to_thread(cluster.certificate, edge) for edge in EDGES]
    assert len({*before}) == len({*after}) == 1
    assert before != after
    await asyncio.to_thread(whole, cluster, MANAGER)


@thorough
async def test_what_is_secret_is_made_anew(deployed: Deployed, cluster: Cluster) -> None:
    """By one playbook while clients talk: each password is another one on every manager, and a token still counts."""
    ask = "sudo sh -c 'sha256sum /var/lib/portcullis/containers/secrets/*_password'"
    before = {name: cluster[name].ssh(ask).stdout for name in FIVE[2:]}
    token = await asyncio.to_thread(cluster.token, "rotated")
    found = await cluster.judged(lambda: asyncio.to_thread(deployed.playbook, "rotate-secrets"), seed=11)
    print(f"nobody could post for {found['silence']:.1f} s")
    after = {name: cluster[name].ssh(ask).stdout for name in FIVE[2:]}
    assert len({*after.values()}) == 1
    assert not {*before[MANAGER].splitlines()} & {*after[MANAGER].splitlines()}
    assert outside.round_trip(cluster[EDGES[0]], outside.NAME, token, cluster.authority) == "well"
    await asyncio.to_thread(whole, cluster, MANAGER)


async def _posts(client: Client, count: int, what: str) -> list[int]:
    return [await client.room(DEFAULT_ROOM).post(f"{what} {number}") for number in range(count)]


@thorough
async def test_all_data_is_lost_and_comes_back(deployed: Deployed, cluster: Cluster) -> None:
    """What was acked before the last archived moment is there again, under another epoch; the drill had said so."""
    token = await asyncio.to_thread(cluster.token, "keeper")
    async with cluster.client(EDGES[0], "keeper", token) as client:
        await client.join(DEFAULT_ROOM)
        kept = await _posts(client, 3, "before the backup")
        await asyncio.to_thread(deployed.playbook, "backup", "--extra-vars=full=yes")
        kept += await _posts(client, 3, "after the backup")
        await asyncio.sleep(ARCHIVED)
    said = await asyncio.to_thread(cluster.portcullis, "drill", seconds=SECONDS)
    assert "It can be restored" in said
    await asyncio.to_thread(cluster.portcullis, "down")
    for number, name in enumerate(FIVE[2:], 1):
        gone = f"sudo docker container prune --force && sudo docker volume rm portcullis_postgres-{number}"
        await asyncio.to_thread(
            until, lambda one=name, words=gone: cluster[one].ssh(words).returncode == 0, "gone", SECONDS
        )
    await asyncio.to_thread(deployed.playbook, "restore")
    await asyncio.to_thread(whole, cluster, MANAGER)
    assert {*kept} <= await cluster.stored(EDGES[1], "keeper")
