"""What a client presents: bad credentials of every kind, the good ones, and live sockets that obey theirs."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.keys import create_key, open_keys, prune_keys
from app.model import BanKind, UserName
from tests.socket.raw import Raw
from tests.socket.server import COOKIE, ORIGIN, Client, Refused, Server, new_address, new_name, running
from tests.unit import identity_provider as idp


@dataclass
class Forger:
    """Makes tokens that are right but for what a test changes."""

    server: Server
    subject: str

    def token(self, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        """Claims of None are left out."""
        settings = self.server.load()
        signer = open_keys(settings).signer()
        now = int(time.time())
        claims = {
            "iss": settings.issuer,
            "aud": settings.audience,
            "sub": self.subject,
            "iat": now,
            "nbf": now,
            "exp": now + 60,
            "jti": new_name(),
            "use": "access",
        } | changes
        present = {name: value for name, value in claims.items() if value is not None}
        fields = {"alg": "ES256", "kid": signer.kid, "typ": "at+jwt"} | (header or {})
        return jwt.encode(present, key or signer.private, fields["alg"], headers=fields)

    def by_hand(self, header: dict[str, Any], sign: Any = None) -> str:
        """A token with any header; `sign` makes the signature of what is signed."""
        payload = self.token().split(".")[1]
        signed = f"{_base64(json.dumps(header).encode())}.{payload}"
        return f"{signed}.{_base64(sign(signed.encode())) if sign else ''}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.fixture
async def forger(usual: Server) -> Forger:
    return Forger(usual, await usual.account(new_name()))


async def reason(server: Server, token: str | None, **options: Any) -> str:
    """The reason that refuses a handshake with this token, from an address of its own."""
    refused = await server.refused(token, **{"address": new_address(), **options})
    assert refused.status == 401
    if token:
        assert token not in json.dumps(refused.body)
    return refused.reason


def _far(seconds: int) -> int:
    return int(time.time()) + seconds


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
    "not yet valid": {"nbf": _far(300)},
    "from the future": {"iat": _far(300)},
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
    assert await reason(forger.server, forger.token(exp=_far(-10), iat=_far(-60), nbf=_far(-60))) == "token_expired"


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
    token = forger.token(exp=_far(3600))
    assert await reason(forger.server, None, path=f"/ws/chat?token={token}") == "token_exposed"
    old = forger.token(iat=_far(-600), nbf=_far(-600), exp=_far(30))
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


def _ticket(server: Server, headers: dict[str, str], address: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, answered, body = server.get(
        "/api/tickets", method="POST", headers={"Origin": ORIGIN, **headers}, address=address
    )
    return status, answered, json.loads(body)


async def test_a_ticket_opens_one_socket(usual: Server) -> None:
    """Once, in the URL; it makes no other ticket, refreshes only once, and its socket lives as long as its parent."""
    address, token = new_address(), await usual.token(new_name())
    status, _, body = _ticket(usual, {"Authorization": f"Bearer {token}"}, address)
    assert (status, body["expires_in"]) == (201, 30)
    ticket = body["ticket"]
    status, _, body = _ticket(usual, {"Authorization": f"Bearer {ticket}"}, address)
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
        status, answered, body = _ticket(usual, headers, place)
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
        assert _ticket(usual, bearer, exhausted)[0] == 201
    for _ in range(5):
        await usual.connect(token, address=exhausted)
    await same("user_connections", bearer, address)
    for _ in range(5):
        await usual.refused(None, address=exhausted)
    await same("ip_rate", bearer, exhausted)


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
    ticket = _ticket(usual, browser, address)[2]["ticket"]
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
        "token_expired": [forger.token(exp=_far(-10), iat=_far(-60), nbf=_far(-60))],
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
                {"iss": "https://idp.example", "aud": "chat", "sub": "u", "iat": 1, "exp": _far(60)},
                key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
                "HS256",
                {"kid": "k1"},
            ),
        ):
            assert await reason(server, wrong) == "token_invalid"
        late = idp.token(key, "k1", iat=_far(-99), exp=_far(-9))
        assert await reason(server, late) == "token_expired"
        down = await server.refused(idp.token(key, "k1", iss="https://silent.example"), address=address)
        assert (down.status, down.reason) == (503, "backend_down")
        assert down.retry_after is not None
        since = _ask(server, "/api/revocations", await server.admin(), token=token)
        assert await within_a_second(client, since) == (4501, "revoked")
        assert await reason(server, token) == "token_revoked"
