"""Where a request truly comes from. The one place that reads X-Real-IP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from app.model import Address
from app.settings import Settings

_HEADER: Final = b"x-real-ip"
_INNER: Final = ("https", "wss")
"""What only the inner listener speaks (app/inner.py), to who has shown an edge's certificate."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """One client's address, in both resolutions."""

    full: str
    """For logs and the session list."""
    limited: Address
    """For limits and bans: the IPv4 address, or the IPv6 /64 that one customer usually holds."""


def client_address(scope: Mapping[str, Any], settings: Settings) -> ClientAddress | None:
    """The address of an ASGI scope's client, or None when it cannot be trusted or read (the answer is a 400).

    X-Real-IP counts only from the Unix socket (`scope["client"]` is None), over the inner listener or from a trusted
    proxy, and only when there is exactly one. Any other peer is its own address, whatever headers it sends.
    """
    if not through_edge(scope, settings):
        return parse_address(str(scope["client"][0]))
    values = _values(scope["headers"])
    return parse_address(values[0].decode("latin-1")) if len(values) == 1 else None


def through_edge(scope: Mapping[str, Any], settings: Settings) -> bool:
    """Whether an ASGI scope came by the Unix socket, over the inner listener or from a trusted proxy.

    What it says about the client is true then.
    """
    peer = scope.get("client")
    return peer is None or scope.get("scheme") in _INNER or _trusted(str(peer[0]), settings.trusted_proxies)


def parse_address(text: str) -> ClientAddress | None:
    """An address as clients write it; `::ffff:192.0.2.1` is 192.0.2.1 (RFC 4291 §2.5.5.2). None when it is not one."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return ClientAddress(str(address), Address(str(address)))
    if address.ipv4_mapped is not None:
        return ClientAddress(str(address.ipv4_mapped), Address(str(address.ipv4_mapped)))
    prefix = IPv6Network((int(address) >> 64 << 64, 64))
    return ClientAddress(str(address), Address(str(prefix)))


def _values(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [value for name, value in headers if name == _HEADER]


def _trusted(peer: str, proxies: tuple[str, ...]) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in _networks(proxies))


@lru_cache(maxsize=8)
def _networks(proxies: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(proxy) for proxy in proxies)
