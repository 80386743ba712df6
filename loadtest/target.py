"""Where the load goes: this machine's loopback with as many client addresses as needed, or a host of one's own."""

from __future__ import annotations

import ipaddress
import itertools
import random
import socket
import ssl
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

PER_BLOCK: Final = 250
NARROW_BYTES: Final = 4096
NARROW_SEGMENT: Final = 1220
CONNECTING: Final = 10.0
"""Seconds until a connection that does not come about counts as trouble."""


@dataclass(frozen=True)
class Account:
    """Who a client is."""

    name: str
    token: str


@dataclass(frozen=True)
class Target:
    """One edge. `ca` is the file with the authority that it is trusted by; empty: those of this machine."""

    url: str
    ca: str = ""

    @property
    def host(self) -> str:
        """The name that is asked for."""
        return urlsplit(self.url).hostname or "localhost"

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.url).port or 443

    @property
    def socket_url(self) -> str:
        """The chat's WebSocket."""
        return f"wss://{self.authority}/ws/chat"

    @property
    def authority(self) -> str:
        """What the Host header says."""
        return urlsplit(self.url).netloc

    @property
    def local(self) -> bool:
        """Whether clients can have any address of 127.0.0.0/8."""
        return loopback(self.host)

    def tls(self) -> ssl.SSLContext:
        """What every client of a process shares."""
        return ssl.create_default_context(cafile=self.ca or None)

    def reach(self, address: str, *, narrow: bool = False) -> socket.socket:
        """A TCP connection from this client address; empty: from whatever the machine gives. Raises OSError.

        `narrow`: it takes in little at a time, and makes the kernels between keep as little as a real network does.
        """
        if not self.local or not address:
            return socket.create_connection((self.host, self.port), CONNECTING)
        six = ":" in address
        opened = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        opened.settimeout(CONNECTING)
        if narrow:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BYTES)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, NARROW_SEGMENT)
        try:
            opened.bind((address, 0))
            opened.connect(("::1" if six else "127.0.0.1", self.port))
        except OSError:
            opened.close()
            raise
        return opened

    def dump(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return asdict(self)


def loopback(host: str) -> bool:
    """Whether the name means this machine's loopback."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def block() -> int:
    """Where in 127.0.0.0/8 a run's addresses begin: buckets of an earlier run must not be half empty in this one."""
    return random.randrange(1, 60_000) * 256  # noqa: S311


def addresses(first: int) -> Iterator[str]:
    """127.x.y.z from `first` on, without a 0 or 255 at the end."""
    base = int(ipaddress.ip_address("127.0.0.0"))
    for step in itertools.count():
        yield str(ipaddress.ip_address(base + first + step // PER_BLOCK * 256 + step % PER_BLOCK + 1))
