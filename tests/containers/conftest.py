"""One stack in containers for this folder. Without a container engine its tests fail: `make engine` gives one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack import compose, engine
from tests.stack import running
from tests.stack.running import RunningStack, free_port


@dataclass
class ContainedStack(RunningStack):
    """A stack whose make targets ask for containers."""

    def environ(self) -> dict[str, str]:
        """The same, with the other shape and ports of its own for those who watch."""
        return super().environ() | {"PORTCULLIS_SHAPE": "containers", **self.settings}

    def config(self) -> dict[str, Any]:
        """What compose makes of the file and the settings."""
        found: dict[str, Any] = json.loads(compose.run(self.place, "config", "--format", "json"))
        return found

    def containers(self) -> dict[str, str]:
        """Service to container."""
        return {name: one.id for name, one in compose.states(self.place).items()}


@pytest.fixture(scope="session")
def contained() -> Iterator[ContainedStack]:
    """Up and healthy; stopped and wiped afterwards."""
    assert engine.reachable(), "these tests need a container engine: make engine"
    folder = Path(tempfile.mkdtemp(prefix="portcullis-containers-", dir=running.FOLDERS))
    folder.chmod(0o755)
    ports = {f"PORTCULLIS_{name}_PORT": str(free_port()) for name in ("PROMETHEUS", "ALERTMANAGER")}
    stack = ContainedStack(folder / "state", ports)
    running.SECONDS = 900.0
    try:
        stack.up()
        yield stack
        assert "Stopped" in stack.make("down").stdout
        assert stack.containers() == {}
    finally:
        stack.make("clean", "CONFIRM=yes", check=False)
        shutil.rmtree(folder)
