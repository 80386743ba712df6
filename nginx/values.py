"""What the edge's configuration depends on: every value is checked here, before it becomes a directive."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PATH = re.compile(r"/[A-Za-z0-9._/+-]*")


class UnsafeValueError(ValueError):
    """A value that must not reach the configuration; its text is one sentence for the operator."""


def is_address(host: str) -> bool:
    """Whether a host name is an IPv4 or IPv6 literal (without brackets)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class EdgeValues:
    """The edge's settings.

    Rates are per client address, an IPv6 client being its /64. Times are seconds. A value out of its
    bounds raises UnsafeValueError.
    """

    state: Path
    """The state folder, absolute. Rendered into state/edge; logs in state/logs, keys in state/tls."""
    hosts: tuple[str, ...] = ("localhost",)
    """Host names and addresses answered; any other Host gets nothing. Lower case, no port, no brackets."""
    https_port: int = 8443
    http_port: int = 8080
    metrics_port: int = 3903
    """mtail's, on 127.0.0.1 only."""
    listen4: str = "0.0.0.0"  # noqa: S104
    listen6: str = "::"
    outer_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed (set_real_ip_from); none by default."""
    error_log: str = ""
    """`stderr`; empty: the file edge-error.log in state/logs, which nginx opens anew at SIGUSR1."""
    workers: int = 2
    connections: int = 10_000
    """Proxied sockets wanted; each takes two descriptors, and the machine's limit may lower it."""
    handshake_per_minute: int = 120
    handshake_burst: int = 40
    address_connections: int = 80
    api_per_minute: int = 600
    api_burst: int = 100
    header_seconds: int = 5
    """For the TLS handshake, and again for the whole header."""
    body_seconds: int = 5
    """Longest pause between two reads of a body (at most 64 KiB)."""
    idle_seconds: int = 60
    """A WebSocket without a byte in either direction for so long is closed; pings keep it."""
    drain_seconds: int = 30
    """The application's drain; worker_shutdown_seconds must exceed it."""
    worker_shutdown_seconds: int = 3600
    """How long the workers of before a reload keep their sockets."""
    user: str | None = None
    """Who runs nginx and mtail, when root renders: owns state/edge/temp and the edge's logs."""

    def __post_init__(self) -> None:
        self._check_names()
        self._check_numbers()

    def _check_names(self) -> None:
        if not self.hosts:
            raise UnsafeValueError("The edge needs at least one host name.")
        for host in self.hosts:
            if not (_HOST.fullmatch(host) or is_address(host)):
                raise UnsafeValueError(f"{host!r} is not a lower-case host name or an address.")
        if not _PATH.fullmatch(str(self.state)):
            raise UnsafeValueError(f"The state folder {str(self.state)!r} must be an absolute plain path.")
        for network in self.outer_proxies:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise UnsafeValueError(f"Outer proxy {network!r} is no address or network: {error}.") from None
        if self.error_log not in ("", "stderr"):
            raise UnsafeValueError(f"The error log {self.error_log!r} is not stderr.")
        _check_listen(self.listen4, 4)
        _check_listen(self.listen6, 6)

    def _check_numbers(self) -> None:
        for name in ("https_port", "http_port", "metrics_port"):
            _check_range(name, getattr(self, name), 1, 65_535)
        if len({self.https_port, self.http_port, self.metrics_port}) < 3:  # noqa: PLR2004
            raise UnsafeValueError("https_port, http_port and metrics_port must differ.")
        for name, most in _BOUNDS.items():
            _check_range(name, getattr(self, name), 1, most)
        if self.worker_shutdown_seconds < self.drain_seconds + 5:
            raise UnsafeValueError("worker_shutdown_seconds must exceed drain_seconds by at least 5.")


_BOUNDS = {
    "workers": 64,
    "connections": 1_000_000,
    "handshake_per_minute": 1_000_000,
    "handshake_burst": 1_000_000,
    "address_connections": 65_535,  # limit_conn's counter has 16 bits
    "api_per_minute": 1_000_000,
    "api_burst": 1_000_000,
    "header_seconds": 600,
    "body_seconds": 600,
    "idle_seconds": 86_400,
    "drain_seconds": 3_600,
    "worker_shutdown_seconds": 86_400,
}


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UnsafeValueError(f"{name} must lie between {least} and {most}, not {value}.")


def _check_listen(address: str, version: int) -> None:
    if not is_address(address) or ipaddress.ip_address(address).version != version:
        raise UnsafeValueError(f"{address!r} is no IPv{version} address to listen on.")
