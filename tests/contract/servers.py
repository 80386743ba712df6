"""Real Redis and Valkey servers for tests: each in a folder of its own, on a Unix socket, killed by its own pid.

Valkey is Debian 13's, extracted into `var/dev/valkey` by `make machine`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

from app.redis_link import RedisLink
from app.redis_server import Server as Where
from stack import valkey
from tests.patience import PATIENCE, until

KINDS = ("redis", "valkey")


def command(kind: str) -> list[str]:
    """How a server is started here."""
    return ["redis-server"] if kind == "redis" else valkey.server()


class Server:
    """One server that is not running yet."""

    def __init__(self, kind: str, folder: Path, *extra: str) -> None:
        """`extra`: further words of its configuration."""
        self.kind = kind
        self.socket = folder / "redis.sock"
        self._words = [*command(kind), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder)]
        self._words += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", *extra]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def where(self) -> Where:
        """How the app reaches it, patiently: a test machine may be busy."""
        return Where(f"unix://{self.socket}", seconds=PATIENCE)

    def within(self, seconds: float) -> Where:
        """The same for who wants to see what happens when it does not answer in time."""
        return replace(self.where, seconds=seconds)

    def start(self) -> None:
        """Run, empty, and answer."""
        self._process = subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, f"{self.kind} answers")

    def kill(self) -> None:
        """kill -9: whatever it knew is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End it, paused or not, running or not."""
        if self._process is not None:
            self.kill()

    def pause(self) -> None:
        """It holds its connections and answers nothing; the kernel still accepts new ones for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self._process.pid}/stat")
        until(lambda: stat.read_text().rpartition(") ")[2].startswith("T"), "the server stands still")

    def resume(self) -> None:
        """Go on where it was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """Its raw answer to one short command, as its default user."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(str(self.socket))
            line.sendall(f"*{len(words)}\r\n".encode() + b"".join(_word(word) for word in words))
            return line.recv(1_000_000).decode()

    def version(self) -> str:
        """`redis 7.0.15`, say."""
        lines = dict(line.split(":", 1) for line in self.ask("INFO", "server").splitlines() if ":" in line)
        return f"{self.kind} {lines.get('valkey_version', lines['redis_version']).strip()}"

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == "+PONG\r\n"
        except OSError:
            return False


class Sentinel(Server):
    """One that watches over others. It keeps what it learns in its configuration."""

    def __init__(self, kind: str, folder: Path, configuration: str) -> None:
        super().__init__(kind, folder)
        file = folder / "sentinel.conf"
        file.write_text(configuration)
        self._words = [*command(kind), str(file), "--sentinel", "--unixsocket", str(self.socket)]


def _word(word: str) -> bytes:
    data = word.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


@contextlib.contextmanager
def running(kind: str, *extra: str, make: Callable[..., Server] = Server) -> Iterator[Server]:
    """A server that answers, and is gone afterwards. Its folder's path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="portcullis-") as folder:
        server = make(kind, Path(folder), *extra)
        try:
            server.start()
            print(server.version())
            yield server
        finally:
            server.stop()


@contextlib.asynccontextmanager
async def linked(where: Where, degraded: Callable[[bool], object] = bool) -> AsyncIterator[RedisLink]:
    """A link to it that is closed whatever happens."""
    link = RedisLink(where, degraded)
    await link.open()
    try:
        yield link
    finally:
        await link.close()


async def until_true(ask: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """`patience.until` for what happens on the event loop."""
    ends = asyncio.get_running_loop().time() + seconds
    while not ask():
        assert asyncio.get_running_loop().time() < ends, f"not in time: {what}"
        await asyncio.sleep(0.005)
