"""One bare host, looked at in check mode and then made into a running chat: once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.host import Host
from lab.lab import Lab, Played, running
from stack import engine

NAME = "portcullis-lab-test"


@dataclass(frozen=True)
class Deployed:
    """The lab, and what became of the first two runs."""

    lab: Lab
    foretold: Played
    """site.yml in check mode, on the bare host."""
    touched: str
    """What of ours was on the host after that."""
    first: Played

    @property
    def host(self) -> Host:
        """The only one."""
        return self.lab.hosts[0]

    def on_host(self, command: str) -> str:
        """What a shell command prints as root over a fresh login; fails when it does."""
        return self.host.shell(command)


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """The host, torn down afterwards whatever happens."""
    assert engine.reachable(), "these tests need a container engine: make engine"
    with running(NAME, ("one",), print) as lab:
        foretold = lab.playbook("site", "--check")
        touched = lab.hosts[0].ssh("ls -d /opt/portcullis /etc/portcullis /usr/bin/docker /usr/sbin/nft; true").stdout
        first = lab.playbook("site")
        assert first.code == 0, first.said[-4000:]
        yield Deployed(lab, foretold, touched, first)
