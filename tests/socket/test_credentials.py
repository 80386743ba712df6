"""What a client presents: bad credentials of every kind, the good ones, and live sockets that obey theirs."""

from __future__ import annotations

import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.keys import open_keys
from app.model import BanKind, UserName
from tests.socket.forger import Forger, ask_ticket, far, reason
from tests.socket.raw import Raw
from tests.socket.server import COOKIE, ORIGIN, Server, new_address, new_name, running
from tests.unit import identity_provider as idp


@pytest.fixture
async def forger(usual: Server) -> Forger:
    return Forger(usual, await usual.account(new_name()))


async def test_a_right_token_passes(forger: Forger) -> None:
    """The forger's tokens are right, so that what it changes is what is refused."""
    await forger.server.connect(forger.token(), address=new_address())


@pytest.mark.parametrize("scheme", ["", "Bearer", "Bearer ", "Bearer a b", "Basic dXNlcjpwYXNz", "Bearer a.b.c", "x"])
async def test_a_garbled_authorization_is_refused(usual: Server, scheme: str) -> None:
    """Whatever it is, it is no token."""
    assert await reason(usual, None, headers={"Authorization": scheme}) == "token_invalid"


WRONG: dict[str, dict[str, Any]] = {
    "wrong aud": {"aud": "another"},
    "no aud": {"aud": None},
    "wrong iss": {"iss": "https://evil.example"},
    "no iss": {"iss": None},
    "no exp": {"exp": None},
    "exp that is no number": {"exp": "tomorrow"},
    "no nbf": {"nbf": None},
    "no iat": {"iat": None},
    "no sub": {"sub": None},
    "no jti": {"jti": None},
    "unknown account": {"sub": "nobody-at-all"},
    "not yet valid": {"nbf": far(300)},
    "from the future": {"iat": far(300)},
    "a ticket's use": {"use": "ticket"},
    "another use": {"use": "refresh"},
    "no use": {"use": None},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
async def test_wrong_claims(forger: Forger, changes: dict[str, Any]) -> None:
    """A good signature does not make up for a claim that is wrong or missing."""
    assert await reason(forger.server, forger.token(**changes)) == "token_invalid"


async def test_an_expired_token_says_so(forger: Forger) -> None:
    """So that the client refreshes instead of asking for a password."""
    assert await reason(forger.server, forger.token(exp=far(-10), iat=far(-60), nbf=far(-60))) == "token_expired"


HEADERS: dict[str, dict[str, Any]] = {
    "unknown kid": {"kid": "unknown"},
    "kid that is a path": {"kid": "../../../../dev/null"},
    "no typ": {"typ": "JWT"},
    "a ticket's typ": {"typ": "ticket+jwt"},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_wrong_headers(forger: Forger, header: dict[str, Any]) -> None:
    """The header chooses neither key nor meaning."""
    assert await reason(forger.server, forger.token(header)) == "token_invalid"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
async def test_no_signature(forger: Forger, name: str) -> None:
    """`alg: none` in every spelling, with and without our kid."""
    kid = open_keys(forger.server.load()).signer().kid
    assert await reason(forger.server, forger.by_hand({"alg": name, "typ": "at+jwt", "kid": kid})) == "token_invalid"
    signed = forger.by_hand({"alg": name, "typ": "at+jwt", "kid": kid}, lambda _: b"x")
    assert await reason(forger.server, signed) == "token_invalid"


async def test_key_confusion(forger: Forger) -> None:
    """Our public key is no HMAC secret, in none of its encodings (RFC 8725 §3.1)."""
    key = open_keys(forger.server.load()).signer()
    assert isinstance(key.private, EllipticCurvePrivateKey)
    public = key.private.public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        json.dumps(json.loads(forger.server.get("/.well-known/jwks.json")[2])["keys"][0]).encode(),
    ]
    for secret in secrets:
        header = {"alg": "HS256", "typ": "at+jwt", "kid": key.kid}
        forged = forger.by_hand(header, lambda signed, secret=secret: hmac.digest(secret, signed, "sha256"))
        assert await reason(forger.server, forged) == "token_invalid"


async def test_another_key(forger: Forger) -> None:
    """Neither under our kid nor brought along in the header."""
    other = generate_private_key(SECP256R1())
    assert await reason(forger.server, forger.token(key=other)) == "token_invalid"
    header = {"jwk": idp.public(other), "jku": "https://evil.example/jwks.json"}
    assert await reason(forger.server, forger.token(header, key=other)) == "token_invalid"


async def test_a_changed_token(forger: Forger) -> None:
    """One other character in any of its parts."""
    for index, part in enumerate(forger.token().split(".")):
        parts = forger.token().split(".")
        parts[index] = ("A" if part[9] != "A" else "B").join((part[:9], part[10:]))
        assert await reason(forger.server, ".".join(parts)) == "token_invalid"


async def test_an_oversized_token(forger: Forger) -> None:
    """8 KiB are read at most, and not more of a header line than the library takes."""
    assert await reason(forger.server, None, path=f"/ws/chat?token={'a' * 8000}") == "token_invalid"
    raw = await Raw.open(forger.server)
    answer = await raw.handshake({"X-Real-IP": new_address(), "Authorization": "Bearer " + "a." * 5000 + "a"})
    assert (answer.status, answer.reason) == (400, "handshake_invalid")


async def test_two_credentials_of_one_kind(forger: Forger) -> None:
    """Nobody knows which of both another reader would take."""
    token = forger.token()
    assert await reason(forger.server, None, path=f"/ws/chat?token={token}&token={token}") == "token_invalid"
    offered = ["chat.v1", f"bearer.{token}", f"bearer.{forger.token()}"]
    assert await reason(forger.server, None, subprotocols=offered) == "token_invalid"
    raw = await Raw.open(forger.server)
    fields = {"X-Real-IP": new_address(), "Authorization": f"Bearer {token}"}
    assert (await raw.handshake(fields, [f"Authorization: Bearer {token}"])).reason == "token_invalid"


async def test_no_credential(usual: Server) -> None:
    """Nor one in a place where none is looked for."""
    for path in ("/ws/chat", "/ws/chat?Token=a", "/ws/chat?access_token=a"):
        assert await reason(usual, None, path=path) == "credential_missing"
    cookie = {"Cookie": "session=a; host-session=b", "Origin": ORIGIN}
    assert await reason(usual, None, headers=cookie) == "credential_missing"
    assert await reason(usual, None, path="/ws/chat?token=") == "token_invalid"


async def test_header_subprotocol_and_query(forger: Forger) -> None:
    """Three ways for a token; the one in the subprotocol list is never echoed."""
    server, token, address = forger.server, forger.token(), new_address()
    await server.connect(token, address=address)
    await server.connect(None, address=address, headers={"authorization": f"bearer  {token}"})
    await server.connect(None, address=address, path=f"/ws/chat?token={token}")
    raw = await Raw.open(server)
    fields = {"X-Real-IP": address, "Sec-WebSocket-Protocol": f"bearer.{token}, chat.v1"}
    answer = await raw.handshake(fields)
    assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "chat.v1")
    assert token not in str(answer.headers)
    alone = await server.refused(None, address=address, subprotocols=[f"bearer.{token}"])
    assert alone.reason == "subprotocol_unknown"


async def test_a_long_lived_token_in_the_url_is_exposed(forger: Forger) -> None:
    """More than five minutes must not stand in logs; as a header the same token is fine."""
    token = forger.token(exp=far(3600))
    assert await reason(forger.server, None, path=f"/ws/chat?token={token}") == "token_exposed"
    old = forger.token(iat=far(-600), nbf=far(-600), exp=far(30))
    assert await reason(forger.server, None, path=f"/ws/chat?token={old}") == "token_exposed"
    await forger.server.connect(token, address=new_address())


async def test_the_cookie_of_a_real_sign_in(usual: Server) -> None:
    """It opens a socket with an allowed Origin; in the URL, as a bearer or twice it opens nothing (ASVS 14.2.1)."""
    address = new_address()
    browser = usual.sign_in(await usual.person(new_name()), address)
    await usual.connect(None, address=address, headers=browser)
    value = browser["Cookie"].partition("=")[2]
    assert await reason(usual, None, path=f"/ws/chat?token={value}") == "token_invalid"
    assert await reason(usual, value) == "token_invalid"
    twice = {"Cookie": f"{COOKIE}={value}; {COOKIE}={value}", "Origin": ORIGIN}
    assert await reason(usual, None, headers=twice) == "token_invalid"
    unknown = {"Cookie": f"{COOKIE}={'A' * 43}", "Origin": ORIGIN}
    assert await reason(usual, None, headers=unknown) == "token_invalid"
    status, _, _ = usual.get("/api/session", method="DELETE", headers=browser, address=address)
    assert status == 204
    assert await reason(usual, None, headers=browser) == "token_invalid"


async def test_a_session_expires(tmp_path: Path) -> None:
    """Absolutely and when idle; a live socket closes with the first."""
    with running(tmp_path, session_absolute_seconds="3", session_idle_seconds="1") as server:
        address = new_address()
        name = await server.person(new_name())
        browser, idle = server.sign_in(name, address), server.sign_in(name, new_address())
        client = await server.connect(None, address=address, headers=browser)
        assert (await client.until(type="expiring"))["expires_at"] <= time.time() + 3
        assert await client.closed() == (4001, "credential_expired")
        assert await reason(server, None, headers=browser) in ("token_expired", "token_invalid")
        assert await reason(server, None, headers=idle) in ("token_expired", "token_invalid")


async def test_a_ticket_opens_one_socket(usual: Server) -> None:
    """Once, in the URL; it makes no other ticket, refreshes only once, and its socket lives as long as its parent."""
    address, token = new_address(), await usual.token(new_name())
    status, _, body = ask_ticket(usual, {"Authorization": f"Bearer {token}"}, address)
    assert (status, body["expires_in"]) == (201, 30)
    ticket = body["ticket"]
    status, _, body = ask_ticket(usual, {"Authorization": f"Bearer {ticket}"}, address)
    assert (status, body["reason"]) == (401, "token_invalid")
    await usual.connect(None, address=address, path=f"/ws/chat?token={ticket}")
    assert await reason(usual, None, path=f"/ws/chat?token={ticket}") == "token_reused"
    client = await usual.connect(token, address=address)
    await client.send(type="refresh", token=ticket, id="r")
    assert (await client.until(id="r"))["code"] == "token_reused"


async def test_tickets_tell_the_reason_of_a_handshake_and_charge_nothing(usual: Server) -> None:
    """Status, reason and Retry-After are those of the handshake, gate by gate; it takes no place and no rate."""
    name, address, banned, exhausted = new_name(), new_address(), new_address(), new_address()
    token = await usual.token(name)
    bearer, by = {"Authorization": f"Bearer {token}"}, UserName(name)

    async def same(expected: str, headers: dict[str, str], place: str) -> None:
        before = usual.counts()
        status, answered, body = ask_ticket(usual, headers, place)
        assert usual.counts() == before
        refused = await usual.refused(None, address=place, headers={"Origin": ORIGIN, **headers})
        assert (status, body["reason"]) == (refused.status, refused.reason), body
        assert body["reason"] == expected
        assert ("retry-after" in answered) == (refused.retry_after is not None)

    await same("credential_missing", {}, address)
    await same("token_invalid", {"Authorization": "Bearer garbled"}, address)
    await same("origin_forbidden", {**bearer, "Origin": "https://evil.example"}, address)
    async with usual.store() as store:
        await store.set_disabled(by, True)
        await same("account_disabled", bearer, address)
        await store.set_disabled(by, False)
        ban = await store.add_ban(BanKind.USER, name, None, "test", by)
        await same("account_banned", bearer, address)
        await store.lift_ban(ban.id)
        ban = await store.add_ban(BanKind.ADDRESS, banned, None, "test", by)
        await same("ip_banned", bearer, banned)
        await store.lift_ban(ban.id)
    for _ in range(30):
        assert ask_ticket(usual, bearer, exhausted)[0] == 201
    for _ in range(5):
        await usual.connect(token, address=exhausted)
    await same("user_connections", bearer, address)
    for _ in range(5):
        await usual.refused(None, address=exhausted)
    await same("ip_rate", bearer, exhausted)
