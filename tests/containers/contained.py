"""A whole stack in containers for tests. Without a container engine they fail: `make engine` gives one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack import compose, contained_secrets, engine
from tests import canary, places
from tests.stack import running
from tests.stack.running import RunningStack, free_port

SMALL_DISK = "disk"
MINT = """
import contextlib, io, sys, time
from app.__main__ import main
from app.keys import open_keys
from app.model import Credential, Identity
from app.settings import load
from app.tokens import Tokens
settings = load()
tokens = Tokens(settings, open_keys(settings))
for line in sys.stdin:
    name, seconds = line.split()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(["user", name])
    ours = Identity(name, Credential.TOKEN, time.time() + float(seconds), settings.issuer, name)
    print(tokens.access_token(ours)[0])
"""


@dataclass
class ContainedStack(RunningStack):
    """A stack whose make targets ask for containers."""

    def environ(self) -> dict[str, str]:
        """The same, with the other shape and ports of its own for those who watch."""
        return super().environ() | {"PORTCULLIS_SHAPE": "containers", **self.settings}

    def config(self, *profiles: str) -> dict[str, Any]:
        """What compose makes of the file and the settings; `*` is every profile."""
        words = [word for one in profiles for word in ("--profile", one)]
        found: dict[str, Any] = json.loads(compose.run(self.place, *words, "config", "--format", "json"))
        return found

    def pid(self, program: str) -> int:
        """The container's first process, as the host numbers it."""
        (one,) = engine.inspect(self.containers()[program])
        found: int = one["State"]["Pid"]
        return found

    async def mint(self, name: str, seconds: float = 3600.0) -> str:
        """See RunningStack."""
        return (await asyncio.to_thread(self.mint_all, [(name, seconds)]))[0]

    def account(self, name: str) -> str:
        """See RunningStack."""
        return self.user(name)

    def mint_all(self, wanted: Iterable[tuple[str, float]]) -> list[str]:
        """A token for each name, with so many seconds to live; accounts are made where they are missing."""
        lines = "".join(f"{name} {seconds}\n" for name, seconds in wanted)
        made = compose.run(self.place, "exec", "--no-TTY", "app", "python", "-c", MINT, given=lines).splitlines()
        for secret in made:
            canary.remember(secret)
        return made

    @contextmanager
    def beside(self, settings: Mapping[str, str]) -> Iterator[RunningStack]:
        """See RunningStack."""
        with up(settings) as other:
            yield other

    def said(self) -> str:
        """The last lines of the app's log."""
        done = engine.attempt("logs", "--tail=30", self.containers()["app"])
        return done.stdout + done.stderr

    def containers(self) -> dict[str, str]:
        """Service to container."""
        return {name: one.id for name, one in compose.states(self.place).items()}


@contextmanager
def small_disk(stack: ContainedStack, mebibytes: int) -> Iterator[None]:
    """A volume for the database that can be filled without filling the machine's disk, until it is deleted."""
    folder = stack.state.parent / SMALL_DISK
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder], check=True)
    try:
        os.chown(folder, contained_secrets.POSTGRES, contained_secrets.POSTGRES)
        folder.chmod(0o700)
        project = compose.project(stack.place)
        labels = (f"{compose.PROJECT}={project}", "com.docker.compose.volume=postgres")
        options = ("type=none", "o=bind", f"device={folder}")
        words = [word for label in labels for word in ("--label", label)]
        words += [word for option in options for word in ("--opt", option)]
        engine.run("volume", "create", "--driver=local", *words, f"{project}_postgres")
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def up(settings: Mapping[str, str] | None = None, disk: int = 0) -> Iterator[ContainedStack]:
    """A stack that is up and healthy; stopped and wiped afterwards. `disk`: MiB of the database's, 0 for as many as
    the machine has.
    """
    assert engine.reachable(), "these tests need a container engine: make engine"
    folder = Path(tempfile.mkdtemp(prefix="portcullis-containers-", dir=places.FOLDER))
    folder.chmod(0o755)
    ports = {f"PORTCULLIS_{name}_PORT": str(free_port()) for name in ("PROMETHEUS", "ALERTMANAGER")}
    ours = {name: value for name, value in (settings or {}).items() if name.startswith("PORTCULLIS_")}
    stack = ContainedStack(folder / "state", ours | ports)
    stack.state.mkdir(mode=0o755)
    # Those without our prefix are taken from the file only.
    bare = (f"{name}={value}\n" for name, value in (settings or {}).items() if name not in ours)
    (stack.state / "settings.env").write_text("".join(bare))
    running.SECONDS = 900.0
    with ExitStack() as after:
        after.callback(shutil.rmtree, folder)
        if disk:
            after.enter_context(small_disk(stack, disk))
        after.callback(stack.make, "clean", "CONFIRM=yes", check=False)
        stack.up()
        yield stack
        assert "Stopped" in stack.make("down").stdout
        assert stack.containers() == {}
