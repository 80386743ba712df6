"""What a live socket lives by: it ends with its credential, and goes on with a fresh one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.keys import create_key, prune_keys
from tests.socket.forger import Forger, ask_ticket, far, reason
from tests.socket.server import ORIGIN, Client, Refused, Server, new_address, new_name, running
from tests.unit import identity_provider as idp


async def within_a_second(client: Client, since: float) -> tuple[int | None, str | None]:
    """How it was closed, once that took no longer than the promise."""
    closed = await client.closed()
    assert time.monotonic() - since < 1.0
    return closed


def _ask(server: Server, path: str, headers: dict[str, str], method: str = "POST", **body: Any) -> float:
    """An administrator's request that succeeds; when it was answered."""
    status, _, answer = server.get(
        path, method=method, headers={"Origin": ORIGIN, **headers}, body=body or None, address=new_address()
    )
    assert status in (200, 201, 204), answer
    return time.monotonic()


async def test_live_sockets_close_with_what_they_live_by(usual: Server) -> None:
    """Within a second, with the code of the cause; others of the same address stay."""
    admin, address = await usual.admin(), new_address()
    bystander = await usual.connect(await usual.token(new_name()), address=address)
    name = new_name()
    token, other = await usual.token(name), await usual.mint(name)
    revoked, kept = await usual.connect(token, address=address), await usual.connect(other, address=address)
    since = _ask(usual, "/api/revocations", admin, token=token)
    assert await within_a_second(revoked, since) == (4501, "revoked")
    assert await reason(usual, token) == "token_revoked"
    since = _ask(usual, f"/api/accounts/{name}", admin, "PATCH", disabled=True)
    assert await within_a_second(kept, since) == (4502, "account_disabled")
    target = new_name()
    banned = await usual.connect(await usual.token(target), address=address)
    since = _ask(usual, "/api/bans", admin, user=target, reason="test")
    assert await within_a_second(banned, since) == (4503, "account_banned")
    await bystander.send(type="ping", id="still")
    assert (await bystander.receive())["id"] == "still"
    since = _ask(usual, "/api/bans", admin, address=address, reason="test", seconds=60)
    assert await within_a_second(bystander, since) == (4504, "ip_banned")


async def test_ending_a_session_closes_its_sockets_and_those_of_its_tokens(usual: Server) -> None:
    """The cookie's, its access token's and its ticket's; another session of the user stays."""
    address, name = new_address(), await usual.person(new_name())
    browser, elsewhere = usual.sign_in(name, address), usual.sign_in(name, new_address())
    _, _, body = usual.get("/api/tokens", method="POST", headers=browser, address=address)
    ticket = ask_ticket(usual, browser, address)[2]["ticket"]
    clients = [
        await usual.connect(None, address=address, headers=browser),
        await usual.connect(json.loads(body)["access_token"], address=address),
        await usual.connect(None, address=address, path=f"/ws/chat?token={ticket}"),
    ]
    kept = await usual.connect(None, address=address, headers=elsewhere)
    since = _ask(usual, "/api/session", browser, "DELETE")
    for client in clients:
        assert await within_a_second(client, since) == (4501, "revoked")
    assert await reason(usual, json.loads(body)["access_token"]) == "token_revoked"
    await kept.send(type="ping", id="still")
    assert (await kept.receive())["id"] == "still"


async def test_expiry_and_refresh(usual: Server) -> None:
    """`expiring` comes first; who refreshes stays, who does not is closed with a code that says to come back."""
    name, address = new_name(), new_address()
    token = await usual.token(name, expires_at=time.time() + 4)
    stays, goes = await usual.connect(token, address=address), await usual.connect(token, address=address)
    expires_at = (await stays.until(type="expiring"))["expires_at"]
    fresh = await usual.mint(name)
    await stays.send(type="refresh", token=fresh, id="r")
    ack = await stays.until(id="r")
    assert ack["type"] == "ack" and ack["expires_at"] > expires_at + 60
    assert await goes.closed() == (4001, "credential_expired")
    assert expires_at <= time.time() < expires_at + 2.5
    await stays.send(type="ping", id="still")
    assert (await stays.receive())["id"] == "still"


async def test_a_refresh_changes_nobody(usual: Server) -> None:
    """Another user's token, a garbled, expired or revoked one leave the connection as it was."""
    forger = Forger(usual, await usual.account(new_name()))
    client = await usual.connect(forger.token(), address=new_address())
    revoked = forger.token()
    _ask(usual, "/api/revocations", await usual.admin(), token=revoked)
    cases = {
        "token_invalid": [await usual.token(new_name()), "garbled"],
        "token_expired": [forger.token(exp=far(-10), iat=far(-60), nbf=far(-60))],
        "token_revoked": [revoked],
    }
    for code, tokens in cases.items():
        for token in tokens:
            await client.send(type="refresh", token=token, id="r")
            answer = await client.until(id="r")
            assert (answer["type"], answer["code"]) == ("error", code)
            assert token not in json.dumps(answer)
    await client.join()
    assert (await client.post("me still"))["type"] == "ack"


async def test_keys_rotate_without_logout(usual: Server) -> None:
    """Old tokens stay valid beside the new key's until the old key is pruned; sockets do not notice either."""
    name, address = new_name(), new_address()
    before = await usual.token(name)
    client = await usual.connect(before, address=address)
    kid = create_key(usual.load().signing_folder)
    after = await usual.mint(name)
    assert jwt.get_unverified_header(after)["kid"] == kid != jwt.get_unverified_header(before)["kid"]
    await usual.connect(after, address=address)
    await usual.connect(before, address=address)
    published = [key["kid"] for key in json.loads(usual.get("/.well-known/jwks.json")[2])["keys"]]
    assert kid in published and jwt.get_unverified_header(before)["kid"] in published
    prune_keys(usual.load().signing_folder, 0, time.time() + 1)
    deadline = time.monotonic() + 5
    while (answer := await usual.open(before, address=new_address())) and isinstance(answer, Client):
        assert time.monotonic() < deadline, "the pruned key is still believed"
        await answer.socket.close()
    assert isinstance(answer, Refused) and answer.reason == "token_invalid"
    await client.send(type="ping", id="still")
    assert (await client.receive())["id"] == "still"


@pytest.fixture(scope="module")
def provider() -> Iterator[idp.Provider]:
    with idp.provider() as state:
        yield state


async def test_tokens_of_an_external_issuer(tmp_path: Path, provider: idp.Provider) -> None:
    """Verified by the keys that it publishes over HTTP; the account is made at first sight, revocation is by jti."""
    key, other = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    provider.add("k1", key, use="sig", alg="ES256")
    issuer = {"issuer": "https://idp.example", "audience": "chat", "jwks_url": provider.url}
    silent = {"issuer": "https://silent.example", "audience": "chat", "jwks_url": "http://127.0.0.1:9/jwks.json"}
    with running(tmp_path, issuers=json.dumps([issuer, silent])) as server:
        address = new_address()
        token = idp.token(key, "k1", jti="j1")
        client = await server.connect(token, address=address)
        await client.join()
        assert (await client.post("from elsewhere"))["type"] == "ack"
        assert (await client.until(type="message"))["sender"] == "erin"
        for wrong in (
            idp.token(other, "k1"),
            idp.token(key, "k2"),
            idp.token(key, "k1", aud="another"),
            idp.token(key, "k1", iss="https://localhost:8443"),
            idp.token(key, "k1", exp=None),
            idp.token(key, "k1", iat=None),
            idp.token(key, "k1", sub=None),
            jwt.encode(
                {"iss": "https://idp.example", "aud": "chat", "sub": "u", "iat": 1, "exp": far(60)},
                key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
                "HS256",
                {"kid": "k1"},
            ),
        ):
            assert await reason(server, wrong) == "token_invalid"
        late = idp.token(key, "k1", iat=far(-99), exp=far(-9))
        assert await reason(server, late) == "token_expired"
        down = await server.refused(idp.token(key, "k1", iss="https://silent.example"), address=address)
        assert (down.status, down.reason) == (503, "backend_down")
        assert down.retry_after is not None
        since = _ask(server, "/api/revocations", await server.admin(), token=token)
        assert await within_a_second(client, since) == (4501, "revoked")
        assert await reason(server, token) == "token_revoked"
