"""Hosts come, go and are made anew while clients talk; and what else an operator asks of the playbooks."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from app.model import DEFAULT_ROOM
from lab import host_image, outside
from lab.__main__ import EDGES, FIVE, MANAGER
from lab.host import OPERATOR, Host
from stack import engine
from tests.lab.five.cluster import Cluster, thorough
from tests.lab.five.conftest import WORDS, Deployed
from tests.lab.five.test_faults import SECONDS, whole
from tests.lab.test_upkeep import FORMER, RELEASES, STARTED
from tests.patience import PATIENCE, until
from tests.stack.acme import pebble

REPOSITORY = EDGES[1]
"""The host of the backups, as the inventory has it."""
CA = "/etc/portcullis/acme-ca.pem"


def carried_out(host: Host, command: str, given: bytes = b"") -> bytes:
    """A command there, as root, with files that go in or come out."""
    words = ["ssh", "-F", "none", *host.ssh_options(), f"{OPERATOR}@{host.address}", f"sudo {command}"]
    return subprocess.run(words, input=given, capture_output=True, timeout=SECONDS, check=True).stdout


def another(deployed: Deployed, name: str) -> None:
    """A new machine with the name and address of one that is off for good."""
    lab, host = deployed.cluster.lab, deployed.cluster[name]
    engine.run("rm", "--force", "--volumes", host.container)
    engine.run("volume", "rm", f"{host.container}-docker")
    host.start(host_image.make(lab.say), lab.network)


def noticed(cluster: Cluster, *names: str) -> None:
    """Wait until the cluster knows that these are lost."""
    for name in names:
        until(lambda: re.search(rf"host {name} +does not answer", cluster.doctor()), f"{name} is missed", SECONDS)  # noqa: B023


def standby(cluster: Cluster) -> str:
    """A host with a standby of the database that does not lead the playbooks."""
    leads = FIVE[1 + int(until(cluster.primary, "the database has a primary", SECONDS)[-1])]
    return next(name for name in FIVE[3:] if name != leads)


async def test_a_request_is_found_in_the_logs_of_all_hosts(cluster: Cluster) -> None:
    """By the id that the client was told: the edge's line, then the app's, whichever hosts they are on."""
    edge, app = await cluster.refusal_logged(EDGES[1])
    assert (edge["path"], edge["status"]) == ("/ws/chat", "401")
    assert (app["event"], app["reason"]) == ("handshake_refused", "credential_missing")


def test_the_former_release_comes_back_and_the_present_one_again(deployed: Deployed, cluster: Cluster) -> None:
    """Each by one command, on every manager."""
    present = cluster[MANAGER].shell(f"readlink {RELEASES}/current")
    former = f"{RELEASES}/{FORMER}"
    for name in FIVE[2:]:
        cluster[name].shell(f"cp -a {present} {former} && ln -sfn {former} {RELEASES}/previous")
    for expected in (former, present):
        deployed.playbook("rollback")
        for name in FIVE[2:]:
            assert cluster[name].shell(f"readlink {RELEASES}/current") == expected
        assert cluster.well()


@thorough
async def test_a_host_is_removed_and_added_again(deployed: Deployed, cluster: Cluster) -> None:
    """One with an edge and an app, while clients talk: it knows of no cluster then, and afterwards has its share."""
    host = cluster[EDGES[1]]

    async def fault() -> None:
        await asyncio.to_thread(deployed.playbook, "remove-node", "--extra-vars=node=two")
        assert host.shell("docker info --format {{.Swarm.LocalNodeState}}; docker ps --quiet") == "inactive"
        assert "host two" not in cluster.doctor()
        await asyncio.to_thread(deployed.playbook, "add-node")

    await cluster.judged(fault, seed=8)
    await asyncio.to_thread(whole, cluster, MANAGER)
    token = await asyncio.to_thread(cluster.token, "adder")
    assert outside.round_trip(host, outside.NAME, token, cluster.authority) == "well"


@thorough
@pytest.mark.parametrize("held", ["data", "repository"])
async def test_a_lost_host_is_replaced(deployed: Deployed, cluster: Cluster, held: str) -> None:
    """By a bare one under its name: two playbooks while clients talk. Its data is copied, backups begin anew."""
    lost = REPOSITORY if held == "repository" else await asyncio.to_thread(standby, cluster)

    async def fault() -> None:
        await asyncio.to_thread(cluster[lost].power_off)
        await asyncio.to_thread(noticed, cluster, lost)
        await asyncio.to_thread(another, deployed, lost)
        await asyncio.to_thread(deployed.playbook, "remove-node", f"--extra-vars=node={lost}")
        await asyncio.to_thread(deployed.playbook, "add-node")

    def drilled() -> bool:
        return "It can be restored" in cluster[MANAGER].ssh("sudo", "portcullis", "drill", seconds=SECONDS).stdout

    await cluster.judged(fault, seed=9)
    await asyncio.to_thread(whole, cluster, MANAGER if held == "repository" else lost)
    await asyncio.to_thread(until, drilled, "what the repository has can be restored", SECONDS)


@thorough
async def test_hosts_are_upgraded_and_rebooted(deployed: Deployed, cluster: Cluster) -> None:
    """An edge's and the primary's, one after the other while clients talk; the primary moves before its host does."""
    leads = FIVE[1 + int((await asyncio.to_thread(cluster.primary))[-1])]
    names = (EDGES[0], leads)
    before = {name: cluster[name].shell(STARTED) for name in names}
    for name in names:
        cluster[name].shell("touch /run/reboot-required")
        # A container that reboots has ended: its engine starts it again, as a machine does by itself.
        engine.run("update", "--restart=always", cluster[name].container)
    try:
        await cluster.judged(lambda: asyncio.to_thread(deployed.playbook, "upgrade-hosts"), seed=10)
    finally:
        for name in names:
            engine.run("update", "--restart=no", cluster[name].container)
    for name in names:
        assert cluster[name].shell(STARTED) != before[name]
    await asyncio.to_thread(whole, cluster, MANAGER)


@thorough
async def test_a_public_certificate_is_shown_by_every_edge(
    deployed: Deployed, cluster: Cluster, tmp_path: Path
) -> None:
    """One manager asks for it, every edge answers the challenge; its renewal closes no socket."""
    here = f"{cluster[MANAGER].address.rpartition('.')[0]}.1"
    with pebble(tmp_path / "pebble", (cluster[EDGES[1]].address, 80), here, here) as server:
        text = server.ca.read_text().replace("\n", "\\n")
        cluster[MANAGER].shell(f'printf %b "{text}" >{CA}')
        words = json.loads(WORDS[1]) | {"certificates_directory": server.directory, "certificates_ca": CA}
        tags = "--tags=chat,certificates"
        own = cluster.certificate(EDGES[0])
        await asyncio.to_thread(deployed.playbook, "deploy", tags, "--extra-vars", json.dumps(words))
        root, token = server.root(), await asyncio.to_thread(cluster.token, "shown")
        with cluster.trusting(root):
            issued = shown(cluster, own)
            for edge in EDGES:
                assert outside.round_trip(cluster[edge], outside.NAME, token, root) == "well"
            async with cluster.connect(EDGES[0], Authorization=f"Bearer {token}") as held:
                ask = f"REQUESTS_CA_BUNDLE={CA} certbot renew --no-random-sleep-on-renew --force-renewal"
                await asyncio.to_thread(cluster[MANAGER].shell, ask, SECONDS)
                shown(cluster, issued)
                await (await held.ping())
    await asyncio.to_thread(deployed.playbook, "deploy", tags)
    for edge in EDGES:
        assert outside.round_trip(cluster[edge], outside.NAME, token, cluster.authority) == "well"
    await asyncio.to_thread(whole, cluster, MANAGER)


def shown(cluster: Cluster, before: str) -> str:
    """The certificate that both edges show, another one than before."""
    until(
        lambda: len(found := {cluster.certificate(edge) for edge in EDGES}) == 1 and before not in found,
        "both edges show another certificate",
        PATIENCE,
    )
    return cluster.certificate(EDGES[0])


@thorough
async def test_everything_is_lost_and_comes_back(deployed: Deployed, cluster: Cluster) -> None:
    """As docs/operate/lost-hosts.md says: with a copy of the state folder and one of the repository, on bare hosts."""
    token = await asyncio.to_thread(cluster.token, "survivor")
    async with cluster.client(EDGES[0], "survivor", token) as client:
        await client.join(DEFAULT_ROOM)
        kept = [await client.room(DEFAULT_ROOM).post(f"before the end {number}") for number in range(3)]
    await asyncio.to_thread(deployed.playbook, "backup", "--extra-vars=full=yes")
    copies = {
        MANAGER: ("-C /var/lib", "portcullis"),
        EDGES[1]: ("-C /var/lib/docker/volumes/portcullis_repository", "_data"),
    }
    archives = {
        name: carried_out(cluster[name], f"tar -cz --numeric-owner {where} {what}")
        for name, (where, what) in copies.items()
    }
    for name in FIVE:
        cluster[name].power_off()
        await asyncio.to_thread(another, deployed, name)
    began = time.monotonic()
    await asyncio.to_thread(deployed.playbook, "provision")
    cluster[EDGES[1]].shell("docker volume create portcullis_repository")
    for name, (where, _) in copies.items():
        carried_out(cluster[name], f"tar -xz --numeric-owner {where}", archives[name])
    await asyncio.to_thread(deployed.playbook, "restore")
    print(f"everything is back after {time.monotonic() - began:.0f} s")
    await asyncio.to_thread(whole, cluster, MANAGER)
    assert {*kept} <= await cluster.stored(EDGES[1], "survivor")
