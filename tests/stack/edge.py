"""A real edge for tests: the distribution's nginx and mtail, unprivileged, on free ports, with a state of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from pathlib import Path
from typing import Any

import certs.authority
from nginx.render import EdgeValues, check_command, mtail_command, nginx_command, render
from nginx.rotate import rotate
from tests import canary
from tests.patience import PATIENCE, until
from tests.stack.running import free_port

ROOT = Path(__file__).resolve().parents[2]
SEARCHED = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
USER = "www-data" if os.geteuid() == 0 else None
"""Every Debian and Ubuntu has it; the edge must work for a user who owns nothing else."""
IPV6_FREEBIND = 78
"""linux/in6.h; Python has no name for it."""
_SAMPLE = re.compile(r'^(edge_\w+)\{(?:reason|status_class)="([^"]*)"\} (\d+)', re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


@dataclass
class Edge:
    """One running edge; `values` is what it was rendered with."""

    values: EdgeValues
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The authority part of its address."""
        return f"localhost:{self.values.https_port}"

    @property
    def trust(self) -> ssl.SSLContext:
        """Trusts the local authority and nothing else."""
        return ssl.create_default_context(cafile=self.values.state / "tls" / "ca.pem")

    def start(self) -> None:
        """Start mtail, the application and nginx, and wait until a request goes through all of it."""
        self.spawn("mtail", mtail_command(self.values), USER)
        until(lambda: self.counters() is not None, "mtail answers")
        self.start_app()
        self.start_nginx()

    def start_nginx(self) -> None:
        """Start nginx with the configuration as it lies there."""
        self.spawn("nginx", nginx_command(self.values), USER)
        until(lambda: _listens(self.values.https_port) or self.ended("nginx"), "nginx listens")
        assert not self.ended("nginx"), (self.values.state / "logs" / "nginx.log").read_text(encoding="utf-8")

    def start_app(self) -> None:
        """Start the echo application where the edge looks for it."""
        bind = self.values.state / "run" / "app.sock"
        bind.unlink(missing_ok=True)
        command = [sys.executable, "-m", "uvicorn", "tests.stack.echo:application", "--uds", str(bind)]
        self.spawn("app", [*command, "--log-level", "error", "--no-proxy-headers", "--ws", "websockets-sansio"], None)
        until(lambda: _answers(bind), "the application answers")

    def spawn(self, name: str, command: Sequence[str], user: str | None) -> None:
        """Start one process of the edge in the foreground, its words kept in logs/NAME.log."""
        words = [shutil.which(command[0], path=SEARCHED) or command[0], *command[1:]]
        with (self.values.state / "logs" / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                words, stdout=log, stderr=log, cwd=ROOT, user=user, group=user, extra_groups=[] if user else None
            )

    def ended(self, name: str) -> bool:
        """Whether a process that was started has ended by itself."""
        return self.running[name].poll() is not None

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one process and wait for it."""
        process = self.running.pop(name)
        process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)

    def stop_all(self) -> None:
        """End what still runs, nginx first."""
        for name in ("nginx", "app", "mtail"):
            if name in self.running:
                self.stop(name)

    def signal(self, what: signal.Signals) -> None:
        """Send nginx's master a signal."""
        self.running["nginx"].send_signal(what)

    def rotate(self) -> bool:
        """Rotate the access log as the product does."""
        return rotate(self.values.state, patience=PATIENCE)

    def request(
        self,
        path: str,
        method: str = "GET",
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        source: str = "127.0.0.1",
        to: str = "127.0.0.1",
    ) -> Answer:
        """One request over TLS with SNI localhost, from `source` to `to`."""
        connection = _Direct("localhost", self.values.https_port, source, to, self.trust)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Host": self.host, **(headers or {})})
            got = connection.getresponse()
            return Answer(got.status, got.headers, got.read())

    def handshake(self, query: str = "", source: str = "127.0.0.1", to: str = "127.0.0.1") -> tuple[ssl.SSLSocket, int]:
        """A WebSocket handshake; returns the socket (to be closed by the caller) and the status."""
        stream = self.connect(source, to)
        stream.sendall(
            f"GET /ws/chat{query} HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        first = until(lambda: stream.recv(12), "an answer to the handshake")
        return stream, int(first[9:12])

    def connect(self, source: str = "127.0.0.1", to: str = "127.0.0.1") -> ssl.SSLSocket:
        """A bare TLS connection with SNI localhost."""
        return self.trust.wrap_socket(connected(source, to, self.values.https_port), server_hostname="localhost")

    def counters(self) -> dict[tuple[str, str], int] | None:
        """mtail's counters by name and label value; None while it does not answer."""
        text = self.exposition()
        return {(name, label): int(value) for name, label, value in _SAMPLE.findall(text)} if text else None

    def exposition(self) -> str:
        """mtail's exposition text; empty while it does not answer."""
        connection = HTTPConnection("127.0.0.1", self.values.metrics_port, timeout=PATIENCE)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except ConnectionError:
            return ""
        finally:
            connection.close()

    def rejected(self, reason: str) -> int:
        """How many requests mtail has seen refused for `reason`."""
        return (self.counters() or {}).get(("edge_rejected_total", reason), 0)

    def answered(self) -> int:
        """How many requests mtail has counted in all."""
        return sum(value for (name, _), value in (self.counters() or {}).items() if name == "edge_requests_total")

    def lines(self) -> list[str]:
        """The access log's lines, rotated files included, oldest first."""
        found = sorted((self.values.state / "logs").glob("edge-access.log*"), reverse=True)
        return [line for path in found for line in path.read_text(encoding="utf-8").splitlines()]


class _Direct(HTTPSConnection):
    """Connects from a chosen address to a chosen address, whatever the host name resolves to."""

    def __init__(self, host: str, port: int, source: str, to: str, trust: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=PATIENCE)
        self._way = source, to, port
        self._trust = trust

    def connect(self) -> None:
        self.sock = self._trust.wrap_socket(connected(*self._way), server_hostname=self.host)


def connected(source: str, to: str, port: int) -> socket.socket:
    """From an address to which a way leads here, whether an interface has it or not."""
    plain = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    try:
        plain.settimeout(PATIENCE)
        if plain.family == socket.AF_INET6:
            plain.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        plain.bind((source, 0))
        plain.connect((to, port))
    except BaseException:
        plain.close()
        raise
    return plain


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _answers(bind: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(bind))
        return True
    return False


def prepare(state: Path, **changed: object) -> EdgeValues:
    """Make certificates and the rendered configuration in `state`, on free ports."""
    https, http, metrics = (free_port() for _ in range(3))
    given = EdgeValues(state, https_port=https, http_port=http, metrics_port=metrics, user=USER)
    values = replace(given, **changed)  # type: ignore[arg-type]
    for name in ("run", "logs", "tls"):
        (state / name).mkdir(exist_ok=True)
        (state / name).chmod(0o755)
        if USER:
            shutil.chown(state / name, USER if name == "logs" else None, USER)
    certs.authority.ensure(state / "tls", values.hosts, owner=USER)
    render(values)
    return values


def check(values: EdgeValues) -> subprocess.CompletedProcess[str]:
    """What `nginx -t` says about the rendered configuration."""
    command = check_command(values)
    words = [shutil.which(command[0], path=SEARCHED) or command[0], *command[1:]]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, user=USER, group=USER, extra_groups=[] if USER else None
    )


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A state folder which an unprivileged user can enter (pytest's own are closed to others)."""
    with tempfile.TemporaryDirectory(prefix="edge-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextlib.contextmanager
def running(**changed: object) -> Iterator[Edge]:
    """A started edge; `changed` are values that differ from the product's."""
    with folder() as state:
        edge = Edge(prepare(state, **changed))
        try:
            edge.start()
            yield edge
        finally:
            edge.stop_all()
        canary.search(state)
