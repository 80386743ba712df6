"""A whole stack in containers for tests. Without a container engine they fail: `make engine` gives one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@contextmanager
def up(settings: Mapping[str, str] | None = None) -> Iterator[ContainedStack]:
    """A stack that is up and healthy; stopped and wiped afterwards."""
    assert engine.reachable(), "these tests need a container engine: make engine"
    folder = Path(tempfile.mkdtemp(prefix="portcullis-containers-", dir=running.FOLDERS))
    folder.chmod(0o755)
    ports = {f"PORTCULLIS_{name}_PORT": str(free_port()) for name in ("PROMETHEUS", "ALERTMANAGER")}
    ours = {name: value for name, value in (settings or {}).items() if name.startswith("PORTCULLIS_")}
    stack = ContainedStack(folder / "state", ours | ports)
    stack.state.mkdir(mode=0o755)
    # Those without our prefix are taken from the file only.
    bare = (f"{name}={value}\n" for name, value in (settings or {}).items() if name not in ours)
    (stack.state / "settings.env").write_text("".join(bare))
    running.SECONDS = 900.0
    try:
        stack.up()
        yield stack
        assert "Stopped" in stack.make("down").stdout
        assert stack.containers() == {}
    finally:
        stack.make("clean", "CONFIRM=yes", check=False)
        shutil.rmtree(folder)
