"""The host is gone for good: a new one and a backup that was fetched in time make the same chat."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import outside
from lab.host import Host
from lab.lab import running
from stack.problem import Problem
from tests.lab.conftest import NAME, Deployed

EVENTS = "SELECT count(*) FROM events;"


def _asked(host: Host, statement: str) -> str:
    """The database's answer."""
    done = host.ssh(f"echo '{statement}' | sudo portcullis psql", seconds=60.0)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lost_host_is_replaced_by_a_new_one(deployed: Deployed, tmp_path: Path) -> None:
    """Two playbooks on a bare host; accounts and events are those of the backup, and the old one's tokens end."""
    deployed.on_host("portcullis user NAME=kept >/dev/null")
    token = outside.token(deployed.host)
    assert outside.round_trip(deployed.host, outside.NAME, token) == "well"
    done = deployed.lab.playbook("backup", "--extra-vars", json.dumps({"backup_to": str(tmp_path)}))
    assert done.code == 0, done.said[-4000:]
    (copy,) = (tmp_path / "one").iterdir()
    events = _asked(deployed.host, EVENTS)
    with running(f"{NAME}-new", ("new",), print) as lab:
        host = lab.hosts[0]
        for name, more in (("site", {}), ("restore", {"backup_from": str(copy)})):
            done = lab.playbook(name, "--extra-vars", json.dumps(more))
            assert done.code == 0, done.said[-4000:]
        assert _asked(host, EVENTS) == events
        assert host.ssh("sudo", "portcullis", "token", "NAME=kept").returncode == 0
        assert outside.round_trip(host, outside.NAME, outside.token(host)) == "well"
        with pytest.raises(Problem, match=r"token_invalid|401"):
            outside.round_trip(host, outside.NAME, token)
