"""stack/swarm_file.py: what is said in Swarm's words, what is dropped, and what follows from what is in a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack import swarm_file
from stack.swarm_file import derive

LIMITS = {"resources": {"limits": {"cpus": 2, "memory": "134217728", "pids": 64}}}


def service(**more: Any) -> dict[str, Any]:
    """As compose prints one."""
    common = {"image": "portcullis.invalid/app:1", "user": "10001:10001", "environment": {}, "deploy": LIMITS}
    return {**common, "restart": "unless-stopped", "pull_policy": "never", "depends_on": {"other": {}}, **more}


def config(tmp_path: Path, **services: dict[str, Any]) -> dict[str, Any]:
    """With one secret, and an app."""
    (tmp_path / "word").write_text("first")
    common = {"migrate": service(), "app": service(secrets=[{"source": "word"}])}
    return {
        "name": "portcullis",
        "services": {**common, **services},
        "networks": {"backend": {"name": "portcullis_backend", "external": True}},
        "volumes": {},
        "secrets": {"word": {"name": "portcullis_word", "file": str(tmp_path / "word")}},
    }


def test_what_swarm_cannot_do_is_left_out(tmp_path: Path) -> None:
    """Order, restarts and pulling are its own; one-shots are no services."""
    made = derive(config(tmp_path, edge=service(network_mode="host", security_opt=["no-new-privileges:true"])), {})
    assert set(made["services"]) == {"app", "edge"}
    for one in made["services"].values():
        assert not set(swarm_file.WITHOUT) & set(one)
        assert one["deploy"]["resources"]["limits"]["cpus"] == "2"
    assert made["services"]["edge"]["networks"] == {"host": None}
    assert made["networks"]["host"] == {"name": "host", "external": True}


def test_a_secret_is_called_after_its_content(tmp_path: Path) -> None:
    """Another content is another name, so that whoever has it is replaced; its file is its user's alone."""
    given = config(tmp_path)
    before = derive(given, {})["secrets"]["word"]["name"]
    assert derive(given, {})["secrets"]["word"]["name"] == before
    (tmp_path / "word").write_text("second")
    made = derive(given, {})
    assert made["secrets"]["word"]["name"] != before
    (secret,) = made["services"]["app"]["secrets"]
    assert secret == {"source": "word", "target": "word", "uid": "10001", "gid": "10001", "mode": 0o400}


def test_signing_keys_are_the_apps_secrets(tmp_path: Path) -> None:
    """Each file of them, under its own name."""
    (tmp_path / "k1.pem").write_text("key")
    made = derive(config(tmp_path), {"k1.pem": tmp_path / "k1.pem"})
    assert {one["target"] for one in made["services"]["app"]["secrets"]} == {"word", "/run/signing/k1.pem"}


def test_stores_are_three_on_hosts_of_their_own(tmp_path: Path) -> None:
    """Each with its own name, host and volume, and with what is in memory as it was."""
    volumes = [{"type": "volume", "source": "postgres", "target": "/var/lib/postgresql", "volume": {}}]
    stores = service(volumes=volumes, tmpfs=["/space:size=16m,mode=1777"], networks={"backend": None})
    made = derive(config(tmp_path, postgres=stores), {})
    for number in swarm_file.DATA_HOSTS:
        one = made["services"][f"postgres-{number}"]
        assert one["environment"] == {"SELF": f"postgres-{number}"}
        assert one["deploy"]["placement"]["constraints"] == [f"node.labels.portcullis.data.{number} == yes"]
        assert one["volumes"] == [
            {"type": "tmpfs", "target": "/space", "tmpfs": {"size": 16 << 20}},
            {"type": "volume", "source": f"postgres-{number}", "target": "/var/lib/postgresql"},
        ]
    assert set(made["volumes"]) == {f"postgres-{number}" for number in swarm_file.DATA_HOSTS}


def test_without_the_app_the_rest_is_as_it_was(tmp_path: Path) -> None:
    """Nobody is served while a database is restored; what was given is not changed."""
    made = derive(config(tmp_path), {})
    made["services"]["app"]["deploy"] = {**made["services"]["app"]["deploy"], "replicas": 2}
    found = swarm_file.without_app(made)
    assert (found["services"]["app"]["deploy"].pop("replicas"), made["services"]["app"]["deploy"].pop("replicas")) == (
        0,
        2,
    )
    assert found == made


def test_memory_without_a_bound_is_refused(tmp_path: Path) -> None:
    """Swarm would give it half of the host's."""
    with pytest.raises(ValueError, match="no size"):
        derive(config(tmp_path, edge=service(tmpfs=["/space"])), {})
