"""stack/swarm.py: where the backups may be, and what runs nowhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stack import engine, images, swarm
from stack.place import CLONE, Place
from stack.problem import Problem
from stack.swarm import Cluster, Service, misplaced

HOSTS = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("backup", "hosts"), [(("d",), HOSTS), (("a",), ("a",))], ids=["without data", "the only host of all"]
)
def test_one_host_has_the_backups(backup: tuple[str, ...], hosts: tuple[str, ...]) -> None:
    """It has no data, unless there is no other."""
    assert misplaced(backup, {"a", "b", "c"}, hosts) == ""


@pytest.mark.parametrize("backup", [(), ("c", "d"), ("c",)], ids=["none", "two", "one with data"])
def test_backups_that_would_be_lost_with_the_data_are_refused(backup: tuple[str, ...]) -> None:
    """With a sentence that names the label."""
    assert "portcullis.backup=yes" in misplaced(backup, {"a", "b", "c"}, HOSTS)


def test_only_what_runs_nowhere_and_should_is_placed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what was stopped on purpose, what has a task, or what an update is at work on."""
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(swarm, "order", lambda *words: said.append(words))
    Cluster.wake(
        [
            Service("nowhere", 0, 1, ""),
            Service("stopped", 0, 0, ""),
            Service("there", 1, 3, ""),
            Service("coming", 0, 1, "", "updating"),
        ]
    )
    assert said == [("service", "update", "--detach", "--force", "nowhere")]


def test_a_migration_that_waits_for_another_server_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A commit of the primary waits for a standby, however long."""

    def late(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("docker", 0.0)

    monkeypatch.setattr(images, "names", lambda *_, **__: {})
    monkeypatch.setattr(engine, "attempt", late)
    monkeypatch.setattr(swarm, "PRIMARY_SECONDS", 0.0)
    with pytest.raises(Problem, match="second server of the database"):
        Cluster(Place(CLONE, tmp_path), {}).migrate()


def test_a_task_that_is_about_to_be_tried_again_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a service that runs on each of some hosts, Swarm counts none on a host where it has just failed."""
    listed = "portcullis_edge 1/1 edge:1\nportcullis_app 2/3 app:1\nportcullis_relay 2/2 relay:1\n"
    inspected = "portcullis_edge\nportcullis_app updating 7\nportcullis_relay completed 5\n"
    waiting = "portcullis_edge.mzm37wzodz62\nportcullis_app.2\n"
    monkeypatch.setattr(images, "names", lambda *_, **__: {})
    monkeypatch.setattr(swarm, "order", lambda *words: listed if "ls" in words else inspected)
    monkeypatch.setattr(engine, "attempt", lambda *words: subprocess.CompletedProcess(words, 0, waiting, ""))
    assert Cluster(Place(CLONE, tmp_path), {}).services() == [
        Service("portcullis_edge", 1, 2, "edge:1"),
        Service("portcullis_app", 2, 3, "app:1", "updating", "7"),
        Service("portcullis_relay", 2, 2, "relay:1", "completed", "5"),
    ]
