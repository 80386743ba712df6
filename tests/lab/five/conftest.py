"""Five bare hosts made into a running cluster, once for all tests here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.__main__ import FIVE
from lab.lab import Played, running
from stack import engine
from tests.lab.five.cluster import SETTINGS, Cluster

NAME = "portcullis-lab-five"
WORDS = ("--extra-vars", json.dumps({"chat_settings": SETTINGS}))
"""For each playbook that writes settings."""


@dataclass(frozen=True)
class Deployed:
    """The cluster, and what became of the first run."""

    cluster: Cluster
    foretold: Played
    """site.yml in check mode, on bare hosts."""

    def playbook(self, name: str, *more: str) -> Played:
        """One that has to come to its end."""
        done = self.cluster.lab.playbook(name, *WORDS, *more)
        assert done.code == 0, done.said[-6000:]
        return done


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """Torn down afterwards whatever happens."""
    assert engine.reachable(), "these tests need a container engine: make engine"
    with running(NAME, FIVE, print, example="five-hosts") as lab:
        foretold = lab.playbook("site", "--check", *WORDS)
        first = lab.playbook("site", *WORDS)
        assert first.code == 0, first.said[-6000:]
        yield Deployed(Cluster(lab), foretold)


@pytest.fixture
def cluster(deployed: Deployed) -> Cluster:
    """The hosts."""
    return deployed.cluster
