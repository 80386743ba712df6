"""The true client address: who is believed, and how it is counted."""

from __future__ import annotations

from typing import Any

import pytest

from app.address import client_address, parse_address, through_edge
from app.settings import Settings

EDGE = None
"""A Unix socket's peer."""


def scope(peer: tuple[str, int] | None, *values: str) -> dict[str, Any]:
    return {"client": peer, "headers": [(b"x-real-ip", value.encode()) for value in values]}


@pytest.mark.parametrize(
    ("text", "full", "limited"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:DB8:1:2:3::4", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::1", "::1", "::/64"),
    ],
)
def test_addresses(text: str, full: str, limited: str) -> None:
    """IPv6 counts per /64, mapped IPv4 as IPv4; the whole address is kept for logs."""
    found = client_address(scope(EDGE, text), Settings())
    assert found is not None
    assert (found.full, found.limited) == (full, limited)


@pytest.mark.parametrize(
    "values", [(), ("",), ("x",), ("192.0.2.7, 192.0.2.8",), ("192.0.2.7", "192.0.2.7"), ("unix:",)]
)
def test_unreadable(values: tuple[str, ...]) -> None:
    """Missing, doubled, listed and garbled are all no address."""
    assert client_address(scope(EDGE, *values), Settings()) is None


def test_other_peers_are_themselves() -> None:
    """Whoever comes by TCP cannot forge, unless the settings trust that proxy."""
    forged = scope(("198.51.100.9", 1), "192.0.2.7")
    found = client_address(forged, Settings())
    assert found is not None and found.full == "198.51.100.9"
    for trusted in (("198.51.100.9",), ("198.51.100.0/24", "::1")):
        found = client_address(forged, Settings(trusted_proxies=trusted))
        assert found is not None and found.full == "192.0.2.7"
    assert client_address(scope(("testclient", 1), "192.0.2.7"), Settings(trusted_proxies=trusted)) is None


def test_through_the_edge() -> None:
    """The Unix socket and trusted proxies; whoever else comes by TCP did not."""
    proxied = Settings(trusted_proxies=("198.51.100.9",))
    assert through_edge(scope(EDGE), Settings())
    assert through_edge(scope(("198.51.100.9", 1)), proxied)
    assert not through_edge(scope(("198.51.100.8", 1)), proxied)
    assert not through_edge(scope(("testclient", 1)), proxied)


def test_parse_address() -> None:
    """What an administrator types."""
    assert parse_address("nobody") is None
