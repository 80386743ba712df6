"""Tokens: what is refused and why, ours and an external issuer's."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import tokens as tokens_module
from app.issuer import Issuer
from app.keys import KeyFolder, SharedSecret, create_key, prune_keys
from app.model import Credential, Identity, SessionId, UserName
from app.settings import Settings, SettingsError
from app.tokens import Claims, Tokens, Use
from app.verdict import Reason
from tests.unit.identity_provider import Provider, provider, token
from tests.unit.party import SharedClock, external

IDENTITY = Identity(
    user=UserName("alice"),
    credential=Credential.SESSION,
    expires_at=time.time() + 43_200,
    issuer="https://localhost:8443",
    subject="alice",
    session=SessionId("s1"),
)
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_key(tmp_path / "signing")
    return tmp_path / "signing"


@pytest.fixture
def clock() -> SharedClock:
    return SharedClock()


@pytest.fixture
def keys(folder: Path) -> KeyFolder:
    return KeyFolder(folder)


@pytest.fixture
def tokens(keys: KeyFolder, clock: SharedClock) -> Tokens:
    return Tokens(Settings(), keys, clock)


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as idp:
        idp.add("k1", KEY)
        yield idp


def forge(keys: KeyFolder, typ: str = "at+jwt", **changes: Any) -> str:
    """A token signed by our own key, with these claims changed; None leaves one out."""
    now = int(time.time())
    made = {
        "iss": "https://localhost:8443",
        "aud": "portcullis",
        "sub": "alice",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
        "jti": "j1",
        "use": "access",
        **changes,
    }
    signer = keys.signer()
    payload = {name: value for name, value in made.items() if value is not None}
    headers = {"kid": signer.kid, "typ": typ}
    return jwt.PyJWS().encode(json.dumps(payload).encode(), signer.private, signer.algorithm, headers=headers)


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


async def test_access_token_round_trip(tokens: Tokens, clock: SharedClock) -> None:
    """It carries every claim, lives 300 s, and is refused after them."""
    made, seconds = tokens.access_token(IDENTITY)
    claims = await tokens.verify(made)
    assert isinstance(claims, Claims)
    assert (claims.subject, claims.session, claims.use) == ("alice", "s1", Use.ACCESS)
    assert claims.expires_at - claims.issued_at == seconds == 300
    assert await tokens.verify(made) is claims
    clock.now += 300
    assert await tokens.verify(made) is Reason.TOKEN_EXPIRED
    assert await tokens.verify(made) is Reason.TOKEN_EXPIRED


async def test_a_token_never_outlives_its_identity(tokens: Tokens, clock: SharedClock) -> None:
    """Minted in a session's last seconds, it ends with the session."""
    ending = replace(IDENTITY, expires_at=clock.now + 10)
    assert tokens.access_token(ending)[1] <= 10
    assert tokens.ticket(ending)[1] <= 10


async def test_ticket_carries_its_parent(tokens: Tokens) -> None:
    """The connection obeys the credential that the ticket was made from."""
    parent = replace(IDENTITY, credential=Credential.TOKEN, issuer="https://idp.example", subject="u-1", token_id="p1")
    made, seconds = tokens.ticket(parent)
    claims = await tokens.verify(made)
    assert isinstance(claims, Claims)
    assert claims.use is Use.TICKET
    assert seconds == 30
    assert claims.parent is not None
    assert (claims.parent.issuer, claims.parent.subject, claims.parent.token_id) == ("https://idp.example", "u-1", "p1")
    assert claims.parent.expires_at == parent.expires_at


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": ["https://localhost:8443"]},
        {"aud": "other"},
        {"use": "ticket"},
        {"use": "refresh"},
        {"typ": "JWT"},
        {"typ": "ticket+jwt"},
        {"nbf": int(time.time()) + 86_400},
        {"iat": int(time.time()) + 86_400},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("nan")},
        {"sub": 7},
        *({name: None} for name in ("iss", "aud", "sub", "iat", "nbf", "exp", "jti", "use")),
    ],
)
async def test_wrong_claims(tokens: Tokens, keys: KeyFolder, changes: dict[str, Any]) -> None:
    """Signed by our key and still invalid: every claim is needed and checked."""
    assert await tokens.verify(forge(keys, **changes)) is Reason.TOKEN_INVALID


async def test_expired(tokens: Tokens, keys: KeyFolder) -> None:
    """Expired is told apart, since a refresh helps then."""
    assert await tokens.verify(forge(keys, exp=int(time.time()) - 1)) is Reason.TOKEN_EXPIRED
    assert isinstance(await tokens.verify(forge(keys)), Claims)


async def test_algorithm_none(tokens: Tokens, keys: KeyFolder) -> None:
    """An unsigned token is none, however the algorithm is spelt."""
    payload = forge(keys).split(".")[1]
    for algorithm in ("none", "None", "NONE", "", None, 5):
        header = part({"alg": algorithm, "typ": "at+jwt", "kid": keys.signer().kid})
        for signature in ("", "AA"):
            assert await tokens.verify(f"{header}.{payload}.{signature}") is Reason.TOKEN_INVALID


async def test_key_confusion(tokens: Tokens, keys: KeyFolder) -> None:
    """Our public key is not an HMAC secret."""
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    public = keys.signer().public.key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = part({"alg": "HS256", "typ": "at+jwt", "kid": keys.signer().kid})
    signed = f"{header}.{forge(keys).split('.')[1]}"
    for secret in (pem, pem.rstrip(), json.dumps(keys.jwks()["keys"][0]).encode()):
        signature = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256)).rstrip(b"=")
        assert await tokens.verify(f"{signed}.{signature.decode()}") is Reason.TOKEN_INVALID


async def test_unknown_key(tokens: Tokens, keys: KeyFolder) -> None:
    """A kid of nobody, no kid, or another's signature under our kid."""
    payload = jwt.decode(forge(keys), options={"verify_signature": False})
    for headers in ({"kid": "nobody"}, {}, {"kid": keys.signer().kid}):
        made = jwt.encode(payload, KEY, "ES256", headers={**headers, "typ": "at+jwt"})
        assert await tokens.verify(made) is Reason.TOKEN_INVALID


async def test_garbage(tokens: Tokens, keys: KeyFolder) -> None:
    """Empty, huge, binary, deep, tampered: refused, never a failure."""
    good = forge(keys)
    head, body, signature = good.split(".")
    deep = base64.urlsafe_b64encode(b"[" * 5000).rstrip(b"=").decode()
    for made in [
        "",
        ".",
        "..",
        "a.b.c",
        "\0",
        "é.é.é",
        "\ud800",
        f"{good}=",
        f"{good}.x",
        f" {good}",
        f"{good}\n",
        f"{head}.{deep}.{signature}",
        f"{deep}.{body}.{signature}",
        f"{head}.{part([1])}.{signature}",
        f"{head}.{part({'sub': 'bob'})}.{signature}",
        f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
        "A" * 9000,
        f"{head}.{'A' * 9000}.{signature}",
    ]:
        assert await tokens.verify(made) is Reason.TOKEN_INVALID


@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(made=st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}")))
async def test_any_text(tokens: Tokens, made: str) -> None:
    """Whatever it is, it is a refusal."""
    assert await tokens.verify(made) is Reason.TOKEN_INVALID


async def test_rotation_and_pruning(folder: Path, clock: SharedClock) -> None:
    """A rotated key's tokens stay valid; a pruned key's do not, though they were remembered as verified."""
    seconds = [0.0]
    keys = KeyFolder(folder, lambda: seconds[0])
    tokens = Tokens(Settings(), keys, clock)
    made = tokens.access_token(IDENTITY)[0]
    create_key(folder)
    seconds[0] += 1
    assert isinstance(await tokens.verify(made), Claims)
    assert isinstance(await tokens.verify(tokens.access_token(IDENTITY)[0]), Claims)
    prune_keys(folder, 0, time.time() + 1)
    seconds[0] += 1
    assert await tokens.verify(made) is Reason.TOKEN_INVALID


async def test_shared_secret(clock: SharedClock) -> None:
    """HS256 works alike, and only with its own secret."""
    tokens = Tokens(Settings(), SharedSecret(b"s" * 32), clock)
    made = tokens.access_token(IDENTITY)[0]
    assert isinstance(await tokens.verify(made), Claims)
    other = Tokens(Settings(), SharedSecret(b"t" * 32), clock)
    assert await other.verify(made) is Reason.TOKEN_INVALID


async def test_memory_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many verified tokens only the latest are remembered; tickets, used once, never."""
    monkeypatch.setattr(tokens_module, "CACHED", 3)
    for _ in range(5):
        await tokens.verify(tokens.access_token(IDENTITY)[0])
        await tokens.verify(tokens.ticket(IDENTITY)[0])
    assert len(tokens._verified) == 3


def external_tokens(keys: KeyFolder, issuer: Issuer) -> Tokens:
    return Tokens(Settings(issuers=(issuer,)), keys)


async def test_external_token(keys: KeyFolder, idp: Provider) -> None:
    """Signature, issuer, audience and times are checked; the name it suggests is kept."""
    tokens = external_tokens(keys, external(idp.url))
    made = token(KEY, "k1", jti="x1")
    claims = await tokens.verify(made)
    assert isinstance(claims, Claims)
    assert (claims.external, claims.subject, claims.wish, claims.token_id) == (True, "u-1", "erin", "x1")
    assert await tokens.verify(made) is claims
    without_kid = await tokens.verify(token(KEY, None))
    assert isinstance(without_kid, Claims)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"},
        {"iss": "https://elsewhere.example"},
        {"nbf": int(time.time()) + 86_400},
        {"sub": ""},
        {"sub": "s" * 300},
        *({name: None} for name in ("iss", "aud", "sub", "iat", "exp")),
    ],
)
async def test_wrong_external_claims(keys: KeyFolder, idp: Provider, changes: dict[str, Any]) -> None:
    """As strict as with our own."""
    tokens = external_tokens(keys, external(idp.url))
    assert await tokens.verify(token(KEY, "k1", **changes)) is Reason.TOKEN_INVALID


async def test_external_issuers_cannot_speak_for_us(keys: KeyFolder, idp: Provider) -> None:
    """Their keys sign nothing in our name, their tokens are no tickets, and the settings cannot mix both up."""
    tokens = external_tokens(keys, external(idp.url))
    ours = jwt.decode(forge(keys), options={"verify_signature": False})
    assert await tokens.verify(jwt.encode(ours, KEY, "ES256", headers={"kid": "k1"})) is Reason.TOKEN_INVALID
    claims = await tokens.verify(token(KEY, "k1", use="ticket", piss="x", psub="y", pexp=9e9, preferred_username=7))
    assert isinstance(claims, Claims)
    assert (claims.use, claims.parent, claims.wish) == (Use.ACCESS, None, "")
    with pytest.raises(SettingsError, match="own issuer"):
        external_tokens(keys, external(idp.url).model_copy(update={"issuer": "https://localhost:8443"}))


async def test_external_weak_keys(keys: KeyFolder, idp: Provider) -> None:
    """An RSA key below 2048 bits proves nothing."""
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505
    idp.add("weak", weak)
    with pytest.warns(Warning, match="1024"):
        made = token(weak, "weak", "RS256")
    assert await external_tokens(keys, external(idp.url)).verify(made) is Reason.TOKEN_INVALID


async def test_tokens_without_jti_are_named_by_what_was_signed(keys: KeyFolder, idp: Provider) -> None:
    """A second valid signature of one token (ECDSA has one for everybody to compute) has the same id."""
    tokens = external_tokens(keys, external(idp.url))
    made = token(KEY, "k1")
    signed, _, signature = made.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    first = await tokens.verify(made)
    second = await tokens.verify(f"{signed}.{base64.urlsafe_b64encode(twin).rstrip(b'=').decode()}")
    assert isinstance(first, Claims) and isinstance(second, Claims)
    assert first.token_id == second.token_id
    assert len(first.token_id) == 64


async def test_an_unreachable_issuer_is_an_outage(keys: KeyFolder, idp: Provider) -> None:
    """Neither valid nor invalid: try again."""
    idp.status = 503
    assert await external_tokens(keys, external(idp.url)).verify(token(KEY, "k1")) is Reason.BACKEND_DOWN
