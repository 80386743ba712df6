"""Two of three managers are lost for good. The last file here: the cluster has one manager afterwards."""

from __future__ import annotations

import asyncio
import re

from lab.__main__ import FIVE, MANAGER
from tests.lab.five.cluster import Cluster, thorough
from tests.lab.five.conftest import Deployed
from tests.lab.five.test_hosts import noticed


@thorough
async def test_two_managers_are_lost_for_good(deployed: Deployed, cluster: Cluster) -> None:
    """The one that is left begins anew (docs/operate/quorum-loss.md), and forgets them: its commands work again."""
    lost, left = FIVE[3:], cluster[MANAGER]
    for name in lost:
        cluster[name].power_off()
    left.shell(f"docker swarm init --force-new-cluster --advertise-addr {left.address}")
    await asyncio.to_thread(noticed, cluster, *lost)
    for name in lost:
        await asyncio.to_thread(deployed.playbook, "remove-node", f"--extra-vars=node={name}")
    assert set(re.findall(r"host (\S+) +ready", cluster.doctor())) == {*FIVE} - {*lost}
