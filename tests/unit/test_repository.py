"""containers/postgres: what is said there once more is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from certs import stores
from stack import facts, snapshot

FOLDER = Path(__file__).parents[2] / "containers" / "postgres"


def test_a_drill_asks_what_one_hosts_drill_asks() -> None:
    """The same counts, the same question whether it is whole, and the same sentence where it is not."""
    script = " ".join((FOLDER / "drill.sql").read_text().split())
    for question in (snapshot.WHOLE, snapshot.COUNTS, snapshot.NOT_WHOLE):
        assert question in script


def test_what_the_repository_states_is_a_fact() -> None:
    """By the names of one host, so that the same alerts hold."""
    script = (FOLDER / "repository.sh").read_text()
    names = {f"portcullis_{name}" for name in re.findall(r"stated (\w+) ", script)}
    assert names == {"portcullis_backup", "portcullis_restore_drill"}
    assert {f"{name}_{kind}" for name in names for kind in ("failed", "timestamp_seconds")} <= facts.FACTS.keys()


def test_each_end_lets_in_the_other_alone() -> None:
    """By the names in the certificates, which are those of certs/stores.py."""
    allowed = {
        name: re.findall(r"^tls-server-auth=(.+)$", (FOLDER / f"{name}.conf").read_text(), re.MULTILINE)
        for name in ("archive", "repository")
    }
    assert "portcullis_replica" in stores.ROLES
    assert allowed == {
        "archive": [f"portcullis_{stores.REPOSITORY}=portcullis"],
        "repository": ["portcullis_replica=portcullis"],
    }
