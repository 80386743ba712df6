"""Hosts are lost, cut off and started again while clients talk: what was acked is not lost, repeated or out of order.

The tests follow one another on the same hosts, and each leaves all of them there.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from lab.__main__ import EDGES, FIVE, MANAGER
from tests.lab.five.cluster import Cluster, Watch, thorough
from tests.lab.five.conftest import WORDS, Deployed
from tests.patience import until

SECONDS = 300.0
REPLACED, VALKEY, NOTICED = 25.0, 10.0, 15.0
"""What docs/cluster.md promises: seconds until lost apps have successors, until posts go on after the loss of Valkey's
primary, and until nobody is sent to a lost app."""
CUT = 30.0
APPS = 3


def whole(cluster: Cluster, host: str) -> None:
    """Every host is there, every service has all its tasks, the database a primary and two standbys."""
    until(lambda: cluster.well(host), "the cluster is well", SECONDS)
    until(lambda: cluster.doctor(host).count(" standby") == 2, "two standbys", SECONDS)


async def test_a_host_with_an_edge_and_an_app_is_lost(cluster: Cluster) -> None:
    """Clients come by the other edge and resume; the app is started elsewhere; then the host is back."""
    lost = EDGES[1]
    replaced = 0.0

    async def fault() -> None:
        nonlocal replaced
        watch = Watch()
        await asyncio.to_thread(cluster[lost].power_off)
        await asyncio.to_thread(until, lambda: cluster.apps(but=lost) == APPS, "three apps", SECONDS)
        replaced = watch.seconds

    found = await cluster.judged(fault)
    print(f"apps were replaced after {replaced:.1f} s")
    assert replaced < REPLACED
    assert found["silence"] < NOTICED
    await asyncio.to_thread(cluster[lost].power_on)
    await asyncio.to_thread(whole, cluster, MANAGER)


async def test_the_host_of_both_primaries_is_lost(cluster: Cluster) -> None:
    """Valkey's is replaced by itself, the database's by one command of another manager; the former is made anew."""
    number = (await asyncio.to_thread(cluster.primary)).removeprefix("postgres-")
    lost = FIVE[1 + int(number)]
    other = next(name for name in FIVE[2:] if name != lost)
    promoted = 0.0

    async def fault() -> None:
        nonlocal promoted
        watch = Watch()
        await asyncio.to_thread(cluster[lost].power_off)
        await asyncio.to_thread(cluster.portcullis, "promote", host=other)
        promoted = watch.seconds

    found = await cluster.judged(fault, seed=2)
    print(f"another primary after {promoted:.1f} s, nobody could post for {found['silence']:.1f} s")
    assert await asyncio.to_thread(cluster.primary, other) != f"postgres-{number}"
    await asyncio.to_thread(cluster[lost].power_on)
    await asyncio.to_thread(cluster.portcullis, "rejoin", f"NAME=postgres-{number}", host=other, seconds=SECONDS)
    await asyncio.to_thread(whole, cluster, other)


async def test_the_host_of_valkeys_primary_is_lost(cluster: Cluster) -> None:
    """Posts go on within ten seconds, with nobody's help."""
    leads = await asyncio.to_thread(until, cluster.valkey_primary, "the Sentinels name one", SECONDS)
    if leads[-1] == (await asyncio.to_thread(cluster.primary))[-1]:
        # The database's takes another host, while everybody is there.
        await asyncio.to_thread(cluster.portcullis, "promote", "PLANNED=yes")
        await asyncio.to_thread(cluster.portcullis, "rejoin", f"NAME=postgres-{leads[-1]}", seconds=SECONDS)
        await asyncio.to_thread(whole, cluster, MANAGER)
    lost = FIVE[1 + int(leads[-1])]
    other = next(name for name in FIVE[2:] if name != lost)
    found = await cluster.judged(lambda: asyncio.to_thread(cluster[lost].power_off), seed=3)
    assert found["silence"] < VALKEY
    await asyncio.to_thread(cluster[lost].power_on)
    await asyncio.to_thread(whole, cluster, other)


async def test_two_hosts_do_not_hear_each_other(cluster: Cluster) -> None:
    """The database's primary and one of its standbys, for half a minute."""
    number = int((await asyncio.to_thread(cluster.primary))[-1])
    one = FIVE[1 + number]
    two = next(name for name in FIVE[2:] if name != one)

    async def fault() -> None:
        await asyncio.to_thread(cluster[one].cut, cluster[two])
        await asyncio.sleep(CUT)
        await asyncio.to_thread(cluster[one].mend)

    await cluster.judged(fault, seed=4)
    await asyncio.to_thread(whole, cluster, two)


async def test_a_new_release_is_rolled_out(deployed: Deployed, cluster: Cluster) -> None:
    """App by app, while clients talk; nobody is away for long."""

    async def fault() -> None:
        words = json.dumps(
            {"chat_settings": json.loads(WORDS[1])["chat_settings"] | {"PORTCULLIS_MESSAGE_CHARACTERS": "600"}}
        )
        done = await asyncio.to_thread(cluster.lab.playbook, "deploy", "--tags=chat", "--extra-vars", words)
        assert done.code == 0, done.said[-4000:]

    await cluster.judged(fault, seed=5)
    await asyncio.to_thread(deployed.playbook, "deploy", "--tags=chat")


def test_a_release_that_does_not_get_well_is_taken_back(deployed: Deployed, cluster: Cluster) -> None:
    """The playbook fails and says why, the apps of before serve on; the right one then is a deployment as any other."""
    wrong = json.loads(WORDS[1])["chat_settings"] | {"PORTCULLIS_BIND": "unix:/nowhere/app.sock"}
    done = cluster.lab.playbook("deploy", "--tags=chat", "--extra-vars", json.dumps({"chat_settings": wrong}))
    assert done.code != 0
    assert "was taken back" in done.said
    assert cluster.apps() == APPS
    assert deployed.playbook("deploy", "--tags=chat").code == 0
    whole(cluster, MANAGER)


@thorough
@pytest.mark.parametrize("name", FIVE)
async def test_a_host_is_rebooted(cluster: Cluster, name: str) -> None:
    """As an operator would do it without thinking of the cluster."""
    await cluster.judged(lambda: asyncio.to_thread(cluster[name].reboot), seed=6)
    await asyncio.to_thread(whole, cluster, next(one for one in FIVE[2:] if one != name))
