"""A whole stack for tests: `make up` on free ports with a state folder of its own, and what tests ask of it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from stack import exposition, listeners, processes
from stack.place import Place
from tests import canary, places
from tests.clients import hang_up
from tests.socket.server import PASSWORD, Server

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0
"""How long any make target may take before the test gives up on it."""
PORTS = range(20_000, 32_000)
"""Below the range from which the kernel gives outgoing connections their ports."""
_TAKEN: set[int] = set()
"""By this process, whose own locks never keep it out."""
FOREIGN = ("PORTCULLIS_", "COVERAGE_", "MAKE", "MFLAGS", "YES", "CONFIRM")
"""What the names of variables begin with that would reach a stack from the make that runs the tests."""
SEEDED = ("venv", "uv")
LENT = "TEST_LENT"
"""The variable that names a folder which all processes of a run share."""

Found = TypeVar("Found")


def free_port() -> int:
    """A port on which nobody listens, and which no other test of this user's gets as long as this process lives."""
    while not _take(port := random.choice(PORTS)):  # noqa: S311
        pass
    return port


def free_pair() -> int:
    """A free port with another one above it."""
    while not _take((port := free_port()) + 1):
        pass
    return port


def _take(port: int) -> bool:
    """Whether it could be had. Nobody may listen on it for a while yet, so other processes have to be told."""
    if port in _TAKEN or listeners.busy(port):
        return False
    try:
        fcntl.lockf(_book(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _TAKEN.add(port)
    return True


@cache
def _book() -> int:
    """A file in which each port has a byte, locked by the process that has it."""
    return os.open(places.FOLDER / f"portcullis-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


@dataclass
class RunningStack:
    """One stack. Made by `new_stack`, started by `up`; every call runs the make target that a person would run."""

    state: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    clone: Path = ROOT
    before: tuple[str, ...] = ()
    """Words in front of make: another user, other limits."""
    watched: bool = False
    """Whether it may supervise a Prometheus."""
    https_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    prometheus_port: int = field(default_factory=free_pair)
    first_password: str = ""
    """The first administrator's one-time password, once `up` has printed it."""

    @property
    def place(self) -> Place:
        """The stack's own idea of where it lives."""
        return Place(self.clone, self.state, self.https_port, self.http_port)

    @property
    def url(self) -> str:
        """The page's address without a final slash; also the allowed Origin."""
        return f"https://localhost:{self.https_port}"

    @property
    def socket_url(self) -> str:
        """The chat's WebSocket."""
        return f"wss://localhost:{self.https_port}/ws/chat"

    @property
    def ca(self) -> Path:
        """The local CA's certificate."""
        return self.state / "tls" / "ca.pem"

    @property
    def tls(self) -> ssl.SSLContext:
        """A client's TLS context that trusts this stack's CA and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca))

    def environ(self) -> dict[str, str]:
        """The environment of make: ours without other settings and other makes' words, and this stack's settings."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        return ours | {
            "PORTCULLIS_STATE": str(self.state),
            "PORTCULLIS_SHAPE": "embedded",
            "PORTCULLIS_HTTPS_PORT": str(self.https_port),
            "PORTCULLIS_HTTP_PORT": str(self.http_port),
            **self._prometheus(),
            **self.settings,
        }

    def _prometheus(self) -> dict[str, str]:
        if self.watched:
            return {"PORTCULLIS_PROMETHEUS_PORT": str(self.prometheus_port)}
        return {"PORTCULLIS_PROMETHEUS_URL": ""}

    def words(self, *targets: str) -> list[str]:
        """The command that makes `targets` for this stack."""
        return [*self.before, "make", "-s", "-C", str(self.clone), *targets]

    def make(self, *targets: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run make; fails with everything it said when `check` and its exit code is not 0."""
        if "clean" in targets:
            canary.search(self.state)
        done = subprocess.run(
            self.words(*targets),
            env=self.environ() | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0 or not check, f"make {targets}:\n{done.stdout}\n{done.stderr}"
        return done

    def up(self) -> str:
        """Start the stack; returns what was printed, and keeps the first administrator's password."""
        said = self.make("up").stdout
        for line in said.splitlines():
            if "one-time password" in line:
                self.first_password = line.split()[2]
                canary.remember(self.first_password)
        return said

    def user(self, name: str, *more: str) -> str:
        """Create an account and return its password. `more` goes to the app's command, `--admin` for example."""
        password = self.app("user", name, *more) if more else self.make("user", f"NAME={name}").stdout.strip()
        canary.remember(password)
        return password

    def app(self, *words: str) -> str:
        """Run `python -m app …` as the stack would; for words that no make target has."""
        code = "import sys; from stack.__main__ import stack; print(stack().app(*sys.argv[1:]))"
        done = subprocess.run(
            [*self.before, "/usr/bin/python3", "-c", code, *words],
            env=self.environ(),
            cwd=self.clone,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, name: str) -> str:
        """A fresh access token of the account."""
        return self.make("token", f"NAME={name}").stdout.strip()

    async def mint(self, name: str, seconds: float = 3600.0) -> str:
        """A token with so many seconds to live, made beside the server; the account is made where it is missing."""
        inside = Server(self.state, {"issuer": self.url})
        return await inside.token(name, expires_at=time.time() + seconds)

    def account(self, name: str) -> str:
        """An account made beside the server, where `user` would start three programs; returns its password."""
        apart(Server(self.state, {"issuer": self.url}).person(name))
        return PASSWORD

    @contextmanager
    def beside(self, settings: Mapping[str, str]) -> Iterator[RunningStack]:
        """Another stack of the same kind, up, with settings of its own."""
        with new_stack(settings, self.state) as other:
            other.up()
            yield other

    def metrics(self) -> str:
        """The exposition of app and edge."""
        said = self.make("metrics").stdout
        canary.show(said)
        return said

    def sample(self, series: str) -> float:
        """The current value of one series, written as the exposition writes it; 0 when it is not there yet."""
        for family in exposition.families(self.metrics()).values():
            if series in family.samples:
                return float(family.samples[series].removeprefix(series).split()[0])
        return 0.0

    def processes(self) -> list[processes.Process]:
        """Every process that belongs to this stack."""
        return processes.ours(self.place)

    def pid(self, program: str) -> int:
        """The pid of the supervisor, or of the one process of `program` that the supervisor itself started."""
        found = {one.pid: one for one in self.processes()}
        mine = [one.pid for one in found.values() if one.program == program and _is_master(one, found)]
        assert len(mine) == 1, f"{program}: {sorted(found.values(), key=lambda one: one.pid)}"
        return mine[0]


def _is_master(one: processes.Process, found: Mapping[int, processes.Process]) -> bool:
    return one.program == "supervisor" or getattr(found.get(one.parent), "program", "") == "supervisor"


def apart(work: Coroutine[Any, Any, Found]) -> Found:
    """What it returns, from a thread of its own: Playwright's event loop runs in the one that asks."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@contextmanager
def new_stack(
    settings: Mapping[str, str] | None = None,
    seed: Path | None = None,
    before: tuple[str, ...] = (),
    *,
    watched: bool = False,
) -> Iterator[RunningStack]:
    """A stack that is not started yet. Afterwards it is stopped, nothing of it may be left, and its folder goes.

    `seed` is another stack's state folder, whose finished environment is taken over to save the installation.
    """
    folder = Path(tempfile.mkdtemp(prefix="portcullis-test-", dir=places.FOLDER))
    folder.chmod(0o755)
    stack = RunningStack(folder / "state", dict(settings or {}), before=before, watched=watched)
    try:
        if seed:
            take_over(seed, stack.state)
        yield stack
        hang_up()
        stack.make("down")
        assert stack.processes() == []
        canary.search(stack.state)
    finally:
        processes.stop(stack.place, 1)
        shutil.rmtree(folder)


def first_up(stack: RunningStack) -> None:
    """`up` of this process's first stack: of all processes of a run one installs, and the others take that over."""
    folder = Path(os.environ[LENT])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (seed := folder / "state").is_dir():
            stack.up()
            take_over(stack.state, seed)
            return
    take_over(seed, stack.state)
    stack.up()


def take_over(seed: Path, state: Path) -> None:
    """Link the environment of `seed` into `state`: nothing in it is ever written to."""
    state.mkdir(mode=0o755)
    for name in SEEDED:
        subprocess.run(["cp", "-al", seed / name, state / name], check=True)
