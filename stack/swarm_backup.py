"""The backups of a cluster, from a manager's side: each verb is a job on the host that has what it is about."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from stack import lock, processes, snapshot, swarm_file

if TYPE_CHECKING:
    from stack.swarm import Cluster

SECONDS = 6 * 3600.0
"""For a large database; pgBackRest's own time-outs end what stands still."""


def write(cluster: Cluster, *words: str) -> str:
    """One more backup, `full` or by default `diff`; what the repository has then. Raises Problem."""
    return _repository(cluster, "backup", *words)


def drill(cluster: Cluster) -> str:
    """Restore the newest backup beside the repository; what was in it. Raises Problem where it cannot be."""
    return _repository(cluster, "drill")


def restore(cluster: Cluster, moment: str, *, restored: bool) -> None:
    """Make a database of what the repository has, up to a moment or its end, where every server has lost its own.

    The chat runs afterwards. Raises Problem where there is still data, or a primary, before anything is stopped.
    `restored`: do the rest of one that was cut off after the restore itself.
    """
    steps = cluster.steps
    with lock.exclusive(cluster.place, steps.say):
        with steps.step("make certificates, passwords and keys") as notes:
            cluster.networks()
            notes.extend(cluster.prepare())
        config = cluster.config()
        if not restored:
            with steps.step("look whether all data is gone"):
                _first_server(cluster, config, "bare")
        cluster.record.unlink(missing_ok=True)
        with steps.step("stop the app"):
            cluster.deploy(swarm_file.without_app(config), prune=True)
        if not restored:
            with steps.step("restore") as notes:
                notes.append(_first_server(cluster, config, "restore", *filter(None, [moment])))
        with steps.step("end what was valid, once there is a standby"):
            for command in snapshot.renewal(cluster.settings, steps.say):
                processes.patiently(partial(cluster.app, *command), SECONDS)
    cluster.up()
    # A line of time has begun onto which no older backup leads from each of its moments.
    write(cluster, "full")


def _repository(cluster: Cluster, verb: str, *words: str) -> str:
    command = ("sh", "/etc/portcullis/repository.sh", verb, *words)
    return cluster.job(cluster.config(), "repository", verb, *command, seconds=SECONDS)


def _first_server(cluster: Cluster, config: swarm_file.Config, verb: str, *words: str) -> str:
    return cluster.job(config, "postgres-1", verb, "sh", "/etc/portcullis/peer.sh", verb, *words, seconds=SECONDS)
