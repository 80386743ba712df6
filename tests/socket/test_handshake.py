"""The gates: every reason once, in their order, with status, body, Retry-After and counter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest

from app.model import Address, BanKind, UserName
from app.verdict import REASONS, Reason
from tests.patience import until
from tests.socket.conftest import Serve
from tests.socket.raw import KEY, Answer, Raw
from tests.socket.server import ORIGIN, Client, Refused, Server, new_address, new_name

WAIT = {
    Reason.DRAINING,
    Reason.IP_RATE,
    Reason.USER_COOLDOWN,
    Reason.USER_CONNECTIONS,
    Reason.IP_CONNECTIONS,
    Reason.NODE_FULL,
    Reason.BACKEND_DOWN,
}


def is_problem(refused: Refused, reason: Reason) -> None:
    """The answer is the reason's own problem body; Retry-After is there exactly where waiting helps."""
    meaning = REASONS[reason]
    assert (refused.reason, refused.status) == (reason, meaning.status)
    assert refused.body["type"] == f"urn:portcullis:reason:{reason}"
    assert (refused.body["status"], refused.body["detail"]) == (meaning.status, meaning.text)
    assert ("retry_after" in refused.body) == (refused.retry_after is not None) == (reason in WAIT)
    if refused.retry_after is not None:
        assert int(refused.retry_after) >= refused.body["retry_after"] > 0


async def counted(
    server: Server, reason: Reason, token: str | None, *, beside: str = "nothing", **options: object
) -> Refused:
    """A refused handshake that was counted once, under its reason; `beside`: what else may be counted meanwhile."""
    before = server.counts()
    refused = await server.refused(token, **options)
    is_problem(refused, reason)
    changed = {series: count for series, count in (server.counts() - before).items() if not series.startswith(beside)}
    assert changed == {f"handshakes_rejected_total{{reason={reason}}}": 1, "handshakes_total{verdict=refused}": 1}
    return refused


async def knock(
    server: Server, changes: Mapping[str, str | None], more: Sequence[str] = (), path: str = "/ws/chat"
) -> Answer:
    """One handshake of the raw client from an address of its own, unless the changes name one."""
    raw = await Raw.open(server)
    try:
        return await raw.handshake({"X-Real-IP": new_address(), **changes}, more, path)
    finally:
        raw.writer.close()


async def test_gates_are_asked_in_their_order(usual: Server) -> None:
    """Of everything that is wrong at once, the first gate's reason is the one that is told."""
    exhausted, banned, name = new_address(), new_address(), new_name()
    token = await usual.token(name)
    for _ in range(10):
        await usual.refused(None, address=exhausted)
    wrong: dict[str, str | None] = {
        "Host": "chat.evil.example",
        "Sec-WebSocket-Key": "short",
        "Origin": "https://evil.example",
        "Sec-WebSocket-Protocol": "chat.v9",
        "X-Real-IP": exhausted,
    }
    steps: list[tuple[Reason, dict[str, str | None]]] = [
        (Reason.HOST_UNKNOWN, {"Host": "localhost:8443"}),
        (Reason.HANDSHAKE_INVALID, {"Sec-WebSocket-Key": KEY}),
        (Reason.ORIGIN_FORBIDDEN, {"Origin": ORIGIN}),
        (Reason.SUBPROTOCOL_UNKNOWN, {"Sec-WebSocket-Protocol": "chat.v1"}),
        (Reason.IP_RATE, {"X-Real-IP": banned}),
        (Reason.CREDENTIAL_MISSING, {"Authorization": "Bearer garbled"}),
        (Reason.TOKEN_INVALID, {"Authorization": f"Bearer {token}"}),
    ]
    full = [await usual.connect(token, address=new_address()) for _ in range(5)]
    async with usual.store() as store:
        by = UserName(name)
        await store.set_disabled(by, True)
        user_ban = await store.add_ban(BanKind.USER, name, None, "test", by)
        address_ban = await store.add_ban(BanKind.ADDRESS, Address(banned), None, "test", by)
        for reason, repair in steps:
            answer = await knock(usual, wrong)
            assert (answer.reason, answer.status) == (reason, REASONS[reason].status)
            wrong |= repair
        assert (await knock(usual, wrong)).reason == Reason.ACCOUNT_DISABLED
        await store.set_disabled(by, False)
        assert (await knock(usual, wrong)).reason == Reason.ACCOUNT_BANNED
        await store.lift_ban(user_ban.id)
        assert (await knock(usual, wrong)).reason == Reason.IP_BANNED
        await store.lift_ban(address_ban.id)
    assert (await knock(usual, wrong)).reason == Reason.USER_CONNECTIONS
    await full[0].socket.close()
    before = usual.counts()["handshakes_total{verdict=accepted}"]
    assert (await knock(usual, wrong)).status == 101
    assert usual.counts()["handshakes_total{verdict=accepted}"] == before + 1


@pytest.mark.parametrize("host", ["chat.evil.example", "localhost.evil.example", "xlocalhost", "localhost:8443:1", "*"])
async def test_an_unknown_host_is_refused(usual: Server, host: str) -> None:
    """Only the host names in the settings are answered for, whatever the port."""
    token = await usual.token(new_name())
    answer = await knock(usual, {"Host": host, "Authorization": f"Bearer {token}"})
    assert (answer.status, answer.reason) == (400, "host_unknown")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8443", "127.0.0.1:1", "[::1]", "[::1]:8443"])
async def test_a_known_host_is_answered(usual: Server, host: str) -> None:
    """Host names have no case (RFC 3986 §3.2.2) and may come with a port."""
    token = await usual.token(new_name())
    assert (await knock(usual, {"Host": host, "Authorization": f"Bearer {token}"})).status == 101


MALFORMED = {
    "bad key": {"Sec-WebSocket-Key": "dG9vIHNob3J0"},
    "key that is no base64": {"Sec-WebSocket-Key": "!" * 24},
    "no key": {"Sec-WebSocket-Key": None},
    "version 8": {"Sec-WebSocket-Version": "8"},
    "no version": {"Sec-WebSocket-Version": None},
    "no Connection": {"Connection": None},
    "Connection: close": {"Connection": "close"},
    "no Upgrade": {"Upgrade": None},
    "Upgrade: h2c": {"Upgrade": "h2c"},
    "subprotocols that are no list": {"Sec-WebSocket-Protocol": "chat.v1;q=1"},
    "no subprotocol in the list": {"Sec-WebSocket-Protocol": ","},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_upgrade_is_refused_and_counted(usual: Server, changes: dict[str, str | None]) -> None:
    """Whoever would have answered it, it is one handshake_invalid."""
    token = await usual.token(new_name())
    before = usual.counts()
    answer = await knock(usual, {"Authorization": f"Bearer {token}", **changes})
    assert (answer.status, answer.reason) == (400, "handshake_invalid")
    assert answer.headers["content-type"] == "application/problem+json"
    changed = usual.counts() - before
    assert changed == {
        "handshakes_rejected_total{reason=handshake_invalid}": 1,
        "handshakes_total{verdict=refused}": 1,
    }


@pytest.mark.parametrize("line", [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", f"Origin: {ORIGIN}"])
async def test_a_second_one_is_malformed(usual: Server, line: str) -> None:
    """Nobody knows which one another reader would take (RFC 6455 §11.3), even when both are fine."""
    answer = await knock(usual, {"Origin": ORIGIN}, [line])
    assert (answer.status, answer.reason) == (400, "handshake_invalid")


@pytest.mark.parametrize("more", [[f"X-{number}: 1" for number in range(150)], ["X-Long: " + "x" * 9000]])
async def test_too_much_of_a_header_is_malformed(usual: Server, more: list[str]) -> None:
    """What the WebSocket library would not read at all is answered and counted, too, and holds no socket."""
    before = usual.counts()
    answer = await knock(usual, {}, more)
    assert (answer.status, answer.reason) == (400, "handshake_invalid")
    assert (usual.counts() - before)["handshakes_rejected_total{reason=handshake_invalid}"] == 1


async def test_other_paths_are_not_found(usual: Server) -> None:
    """Only /ws/chat exists, and no client id in the path."""
    for path in ("/ws", "/ws/chat/alice", "/ws/chat/", "/", "/metrics"):
        answer = await knock(usual, {}, path=path)
        assert (answer.status, answer.reason) == (404, "not_found"), path


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://localhost:8443.evil.example",
        "https://evil.example/https://localhost:8443",
        "http://localhost:8443",
        "https://localhost",
        "https://localhost:8443/",
        "https://LOCALHOST:8443",
        "https://localhost:8443 https://localhost:8443",
        "null",
        "",
    ],
)
async def test_any_other_origin_is_refused(usual: Server, origin: str) -> None:
    """Byte for byte one of the list: browsers send origins in lower case (RFC 6454 §6.2)."""
    token = await usual.token(new_name())
    await counted(usual, Reason.ORIGIN_FORBIDDEN, token, address=new_address(), headers={"Origin": origin})


async def test_an_allowed_origin_passes_and_an_absent_one_with_a_token(usual: Server) -> None:
    """Programs send none."""
    token = await usual.token(new_name())
    await usual.connect(token, address=new_address(), headers={"Origin": ORIGIN})
    await usual.connect(token, address=new_address())


async def test_a_cookie_without_origin_is_refused(usual: Server) -> None:
    """Also beside a valid token: a browser may have added the cookie by itself."""
    token = await usual.token(new_name())
    cookie = {"Cookie": "__Host-session=" + "A" * 43}
    await counted(usual, Reason.ORIGIN_FORBIDDEN, None, address=new_address(), headers=cookie)
    await counted(usual, Reason.ORIGIN_FORBIDDEN, token, address=new_address(), headers=cookie)


@pytest.mark.parametrize(
    "address", [None, "", "garbled", "192.0.2.1, 192.0.2.2", "192.0.2.300", "192.0.2.1:80", "[::1]"]
)
async def test_without_a_usable_address_nothing_passes(usual: Server, address: str | None) -> None:
    """The edge always sends exactly one address; anything else did not come through it."""
    token = await usual.token(new_name())
    before = usual.counts()
    answer = await knock(usual, {"X-Real-IP": address, "Authorization": f"Bearer {token}"})
    assert (answer.status, answer.reason) == (400, "handshake_invalid")
    assert (usual.counts() - before)["handshakes_rejected_total{reason=handshake_invalid}"] == 1


async def test_two_addresses_are_no_address(usual: Server) -> None:
    """A client's own X-Real-IP beside the edge's must not win."""
    token = await usual.token(new_name())
    answer = await knock(usual, {"Authorization": f"Bearer {token}"}, [f"X-Real-IP: {new_address()}"])
    assert answer.reason == "handshake_invalid"


async def test_forwarded_headers_are_ignored(usual: Server) -> None:
    """A new X-Forwarded-For with every handshake does not make a new client."""
    address = new_address()
    for _ in range(10):
        assert (await knock(usual, {"X-Real-IP": address})).reason == "credential_missing"
    forged = [f"X-Forwarded-For: {new_address()}", f"Forwarded: for={new_address()}", "X-Forwarded-Proto: https"]
    assert (await knock(usual, {"X-Real-IP": address}, forged)).reason == "ip_rate"


async def test_subprotocols(usual: Server) -> None:
    """chat.v1 is chosen from any list that has it; a list without it is refused, no list is the tutorial profile."""
    token, address = await usual.token(new_name()), new_address()
    for offered, chosen in ((["chat.v1"], "chat.v1"), (["chat.v9", "chat.v1"], "chat.v1"), (None, None)):
        client = await usual.connect(token, address=address, subprotocols=offered)
        assert client.socket.subprotocol == chosen
    await counted(usual, Reason.SUBPROTOCOL_UNKNOWN, token, address=address, subprotocols=["chat.v9"])
    await counted(usual, Reason.SUBPROTOCOL_UNKNOWN, token, address=address, subprotocols=["CHAT.V1"])


async def test_no_compression_is_negotiated(usual: Server) -> None:
    """A decompression bomb has nothing to explode in (OWASP: deflate off)."""
    token = await usual.token(new_name())
    answer = await knock(usual, {"Authorization": f"Bearer {token}", "Sec-WebSocket-Extensions": "permessage-deflate"})
    assert (answer.status, answer.headers.get("sec-websocket-extensions")) == (101, None)


async def test_ip_rate_says_how_long_and_means_it(usual: Server) -> None:
    """Ten handshakes at once, then one every two seconds; IPv6 counts by /64, mapped IPv4 as IPv4."""
    address = new_address()
    for _ in range(10):
        assert (await usual.refused(None, address=address)).reason == "credential_missing"
    refused = await counted(usual, Reason.IP_RATE, None, address=address)
    assert (await usual.refused(None, address=f"::ffff:{address}")).reason == "ip_rate"
    assert (await usual.refused(None, address=new_address())).reason == "credential_missing"
    assert 0 < refused.body["retry_after"] <= 2
    await asyncio.sleep(refused.body["retry_after"])
    assert (await usual.refused(None, address=address)).reason == "credential_missing"


async def test_the_sixth_connection_of_a_user_is_refused(usual: Server) -> None:
    """Five from wherever; a closed one makes room at once."""
    token = await usual.token(new_name())
    clients = [await usual.connect(token, address=new_address()) for _ in range(5)]
    await counted(usual, Reason.USER_CONNECTIONS, token, address=new_address())
    await clients[0].socket.close()
    await usual.connect(token, address=new_address())
    await counted(usual, Reason.USER_CONNECTIONS, token, address=new_address())


async def _twenty(server: Server, addresses: Sequence[str]) -> list[Client]:
    """Twenty connections of four users, from these addresses in turn."""
    clients = []
    for number in range(4):
        token = await server.token(new_name())
        places = [addresses[(number * 5 + index) % len(addresses)] for index in range(5)]
        clients += [await server.connect(token, address=address) for address in places]
    return clients


async def test_the_address_cap(serve: Serve) -> None:
    """Twenty of an IPv4 address, or of an IPv6 /64 whatever its other bits; another /64 is another client."""
    server = serve(connections_per_address=20, connections_per_user=5)
    token = await server.token(new_name())
    fourth = new_address()
    clients = await _twenty(server, [fourth, f"::ffff:{fourth}"])
    await counted(server, Reason.IP_CONNECTIONS, token, address=fourth)
    await server.connect(token, address=new_address())
    clients += await _twenty(server, [f"2001:db8:0:1:{number:x}::1" for number in range(20)])
    await counted(server, Reason.IP_CONNECTIONS, token, address="2001:db8:0:1:ffff::1")
    await server.connect(token, address="2001:db8:0:2::1")
    await clients[0].socket.close()
    await server.connect(token, address=fourth)


async def test_node_full_then_draining(serve: Serve) -> None:
    """A full node refuses; one that shuts down refuses before everything else, and says so to its clients."""
    server = serve(connections_per_node=2, drain_seconds=3, graceful_seconds=4)
    token = await server.token(new_name())
    raw, held = await Raw.open(server), await server.connect(token, address=new_address())
    await raw.connect(token, new_address())
    await counted(server, Reason.NODE_FULL, token, address=new_address())
    assert server.process is not None
    server.process.terminate()
    until(lambda: server.get("/ready", private=True)[0] == 503, "not ready while draining")
    assert server.get("/live", private=True)[0] == 200
    stranger = {"Origin": "https://evil.example"}
    await counted(server, Reason.DRAINING, None, beside="closes_total", address=new_address(), headers=stranger)
    going = await held.until(type="going_away")
    assert 0.2 <= going["retry_after"] <= 1.0
    assert await held.closed() == (1012, "restart")
    assert await raw.closed() == (1012, "restart")
    assert server.process.wait() == 0


async def test_banned_and_disabled(usual: Server) -> None:
    """A ban that has ended no longer counts; one of an IPv6 address is of its /64."""
    name, address = new_name(), new_address()
    token, by = await usual.token(name), UserName(name)
    async with usual.store() as store:
        await store.set_disabled(by, True)
        await counted(usual, Reason.ACCOUNT_DISABLED, token, address=address)
        await store.set_disabled(by, False)
        await store.add_ban(BanKind.USER, name, time.time() - 1, "over", by)
        await usual.connect(token, address=address)
        ban = await store.add_ban(BanKind.USER, name, None, "for good", by)
        await counted(usual, Reason.ACCOUNT_BANNED, token, address=address)
        await store.lift_ban(ban.id)
        ban = await store.add_ban(BanKind.ADDRESS, "2001:db8:0:3::/64", time.time() + 60, "test", by)
        await counted(usual, Reason.IP_BANNED, token, address="2001:db8:0:3::5")
        await usual.connect(token, address="2001:db8:0:4::5")
        await store.lift_ban(ban.id)


async def test_a_flood_cools_down_the_user_and_nobody_else(usual: Server) -> None:
    """All connections of the user close with a terminal code; handshakes say how long; the address stays welcome."""
    name, address = new_name(), new_address()
    token = await usual.token(name)
    flooder = await usual.connect(token, address=address)
    second = await usual.connect(token, address=new_address())
    for _ in range(60):
        await flooder.send(type="ping")
    assert await flooder.closed() == (4500, "flood")
    assert await second.closed() == (4500, "flood")
    refused = await counted(usual, Reason.USER_COOLDOWN, token, address=address)
    assert 25 < refused.body["retry_after"] <= 30
    await usual.connect(await usual.token(new_name()), address=address)
