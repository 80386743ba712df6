"""The gates over facts: what a handshake's headers say, and who is asked what. tests/socket asks a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from app.handshake import GATES, Admitted, host_name
from app.metrics import Metrics
from app.model import Address, ConnectionId, UserName
from app.protocol import Profile
from app.verdict import Reason, Refusal
from tests.unit.identity_provider import token as external_token
from tests.unit.party import ADDRESS, ORIGIN, Party, external, party

ME = ConnectionId("me")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Party]:
    # Nobody listens there.
    issuers = (external("http://127.0.0.1:9/jwks.json"),)
    async with party(
        tmp_path, connections_per_user=1, connections_per_node=2, handshakes_per_address_burst=50, issuers=issuers
    ) as server:
        await server.account("alice")
        yield server


def scope(
    *headers: tuple[str, str], query: str = "", offered: Sequence[str] = ("chat.v1",), **more: Any
) -> dict[str, Any]:
    """A WebSocket scope through the edge, with more header fields."""
    sent = [("host", "localhost:8443"), ("x-real-ip", ADDRESS), *headers]
    return {
        "type": "websocket",
        "client": None,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent],
        "query_string": query.encode("latin-1"),
        "subprotocols": list(offered),
        "extensions": {},
        **more,
    }


async def told(server: Party, asked: dict[str, Any], connection: ConnectionId = ME) -> Reason | None:
    """The reason of the verdict, which is counted once."""
    metrics = server.backends.metrics

    def counted() -> float:
        return sum(_value(metrics, "chat_handshakes_total", verdict=name) for name in ("accepted", "refused"))

    before = counted()
    verdict = await server.backends.doorman.judge(asked, connection)
    assert counted() == before + 1
    return verdict.reason if isinstance(verdict, Refusal) else None


def _value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8443", "localhost"),
        ("[::1]", "[::1]"),
        ("[::1]:8443", "[::1]"),
        ("a:b", "a:b"),
        ("", ""),
        ("a:", "a:"),
        ("evil.example:80:443", "evil.example:80"),
    ],
)
def test_host_names(host: str, name: str) -> None:
    """Without the port, in lower case; what is no port stays, and so matches nothing."""
    assert host_name(host) == name


async def test_bearers(server: Party) -> None:
    """One token in one place; more than one in a place is none that could be valid."""
    client = await server.signed_in("alice")
    token = (await client.post("/api/tokens")).json()["access_token"]
    bearer, cookie = (
        ("authorization", f"Bearer {token}"),
        ("cookie", f"__Host-session={client.cookies['__Host-session']}"),
    )
    origin = ("origin", ORIGIN)
    doorman, presence = server.backends.doorman, server.backends.presence
    for good in (
        scope(bearer),
        scope(offered=["chat.v1", f"bearer.{token}"]),
        scope(query=f"a=1&token={token}"),
        scope(cookie, origin),
        scope(("cookie", "other=1; " + cookie[1]), origin),
    ):
        admitted = await doorman.judge(good, ME)
        assert isinstance(admitted, Admitted)
        assert (admitted.identity.user, admitted.profile) == ("alice", Profile.CHAT_V1)
        await presence.release(ME)
    for bad in (
        scope(bearer, bearer),
        scope(("authorization", f"Token {token}")),
        scope(offered=["chat.v1", f"bearer.{token}", f"bearer.{token}"]),
        scope(query=f"token={token}&token={token}"),
        scope(cookie, cookie, origin),
        scope(("authorization", "x"), cookie, origin),
    ):
        assert await told(server, bad) == Reason.TOKEN_INVALID
    assert await told(server, scope(bearer, cookie)) == Reason.ORIGIN_FORBIDDEN
    assert await told(server, scope(bearer, origin, origin)) == Reason.ORIGIN_FORBIDDEN
    assert await told(server, scope(bearer, ("host", "localhost"))) == Reason.HOST_UNKNOWN


async def test_asking_charges_and_counts_nothing(server: Party) -> None:
    """`inspect` says what `judge` would, as often as one likes."""
    client = await server.signed_in("alice")
    bearer = ("authorization", f"Bearer {(await client.post('/api/tokens')).json()['access_token']}")
    doorman = server.backends.doorman
    for _ in range(50):
        assert isinstance(await doorman.inspect(scope(bearer, offered=())), Admitted)
    assert _value(server.backends.metrics, "chat_handshakes_total", verdict="accepted") == 0
    tutorial = await doorman.judge(scope(bearer, offered=()), ME)
    assert isinstance(tutorial, Admitted) and tutorial.profile is Profile.TUTORIAL
    full = await doorman.inspect(scope(bearer))
    assert isinstance(full, Refusal) and full.reason is Reason.USER_CONNECTIONS and full.retry_after
    assert await told(server, scope(bearer), ConnectionId("other")) == Reason.USER_CONNECTIONS


async def test_full_node_and_cool_down(server: Party) -> None:
    """Both say how long to wait."""
    client = await server.signed_in("alice")
    bearer = ("authorization", f"Bearer {(await client.post('/api/tokens')).json()['access_token']}")
    presence, limiter = server.backends.presence, server.backends.limiter
    for number in range(2):
        await presence.acquire(ConnectionId(str(number)), UserName(f"user{number}"), Address(f"10.0.0.{number}"))
    assert await told(server, scope(bearer)) == Reason.NODE_FULL
    while not await limiter.strike("alice"):
        pass
    refused = await server.backends.doorman.judge(scope(bearer), ME)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.USER_COOLDOWN and 29 < (refused.retry_after or 0) <= 30


async def test_what_only_the_edge_can_send(server: Party) -> None:
    """A handshake that the library could not read, one without address, and a request that is none at all."""
    assert await told(server, scope(extensions={"portcullis.malformed": {}})) == Reason.HANDSHAKE_INVALID
    assert await told(server, scope(("x-real-ip", "192.0.2.2"))) == Reason.HANDSHAKE_INVALID
    assert server.backends.doorman.refuse_malformed().reason is Reason.HANDSHAKE_INVALID
    rejected = _value(server.backends.metrics, "chat_handshakes_rejected_total", reason="handshake_invalid")
    assert rejected == 3


async def test_stores_that_do_not_answer(server: Party) -> None:
    """Neither the store nor an issuer: 503, and nobody gets in unchecked."""
    key = generate_private_key(SECP256R1())
    foreign = ("authorization", f"Bearer {external_token(key, 'k')}")
    refused = await server.backends.doorman.judge(scope(foreign), ME)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.BACKEND_DOWN and refused.retry_after
    client = await server.signed_in("alice")
    cookie = ("cookie", f"__Host-session={client.cookies['__Host-session']}")
    await server.backends.store.close()
    down = await server.backends.doorman.judge(scope(cookie, ("origin", ORIGIN)), ME)
    assert isinstance(down, Refusal)
    assert down.reason is Reason.BACKEND_DOWN and down.retry_after
    await server.backends.store.open()


def test_the_order_is_one_tuple() -> None:
    """Cheapest first; what costs a lease is last."""
    assert [gate.__name__ for gate in GATES] == [
        "draining",
        "host_known",
        "handshake_valid",
        "origin_allowed",
        "subprotocol_known",
        "address_rate",
        "credential_present",
        "credential_valid",
        "account_usable",
        "address_not_banned",
        "connections_left",
    ]
