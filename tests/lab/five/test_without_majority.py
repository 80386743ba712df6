"""Two of three managers are lost for good, and replaced."""

from __future__ import annotations

import asyncio
import re

from app.model import DEFAULT_ROOM
from lab.__main__ import EDGES, FIVE, MANAGER
from tests.lab.five.cluster import Cluster, thorough
from tests.lab.five.conftest import Deployed
from tests.lab.five.test_faults import SECONDS, whole
from tests.lab.five.test_hosts import another, noticed
from tests.patience import until


@thorough
async def test_two_managers_are_lost_for_good(deployed: Deployed, cluster: Cluster) -> None:
    """The one that is left begins anew (docs/operate/quorum-loss.md), forgets them, and takes two new ones."""
    lost, left = FIVE[3:], cluster[MANAGER]
    token = await asyncio.to_thread(cluster.token, "stayer")
    async with cluster.client(EDGES[0], "stayer", token) as client:
        await client.join(DEFAULT_ROOM)
        kept = [await client.room(DEFAULT_ROOM).post(f"before the loss {number}") for number in range(3)]
    for name in lost:
        cluster[name].power_off()
    left.shell(f"docker swarm init --force-new-cluster --advertise-addr {left.address}")
    await asyncio.to_thread(noticed, cluster, *lost)
    for name in lost:
        await asyncio.to_thread(deployed.playbook, "remove-node", f"--extra-vars=node={name}")
    there = {*FIVE} - {*lost}
    await asyncio.to_thread(
        until, lambda: set(re.findall(r"host (\S+) +ready", cluster.doctor())) == there, "the others are there", SECONDS
    )
    if not cluster.primary():
        await asyncio.to_thread(deployed.playbook, "promote", "--extra-vars=unproven=yes")
    for name in lost:
        await asyncio.to_thread(another, deployed, name)
    await asyncio.to_thread(deployed.playbook, "add-node")
    await asyncio.to_thread(whole, cluster, lost[0])
    assert {*kept} <= await cluster.stored(EDGES[1], "stayer")
