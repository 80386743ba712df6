"""An external issuer's keys, fetched from a real HTTP server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from app import issuers
from app.issuers import FRESH_SECONDS, RETRY_SECONDS, STALE_SECONDS, IssuerDown, RemoteKeys
from tests.unit.identity_provider import Provider, provider
from tests.unit.party import external

KEY = ec.generate_private_key(ec.SECP256R1())


class Clock:
    """Monotonic seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as idp:
        yield idp


async def test_keys_are_fetched_once(idp: Provider) -> None:
    """Any number of tokens and callers cost one request."""
    idp.add("k1", KEY)
    keys = RemoteKeys(external(idp.url))
    found = await asyncio.gather(*(keys.find("k1", "ES256") for _ in range(20)))
    assert found[0] is not None
    assert all(key is found[0] for key in found)
    assert idp.asked == 1


async def test_rotation_is_followed_but_not_forced(idp: Provider) -> None:
    """An unknown kid fetches again, at most every RETRY_SECONDS: garbage cannot make us hammer the provider."""
    clock = Clock()
    idp.add("k1", KEY)
    keys = RemoteKeys(external(idp.url), clock)
    assert await keys.find("k1", "ES256")
    idp.keys.clear()
    idp.add("k2", KEY)
    for _ in range(50):
        assert await keys.find("k2", "ES256") is None
    assert idp.asked == 1
    clock.now = RETRY_SECONDS
    assert await keys.find("k2", "ES256")
    assert await keys.find("k1", "ES256") is None
    assert idp.asked == 2


async def test_a_dead_provider_is_believed_for_a_while(idp: Provider) -> None:
    """Known keys outlive an outage without anybody waiting, but not for ever."""
    clock = Clock()
    idp.add("k1", KEY)
    keys = RemoteKeys(external(idp.url), clock)
    assert await keys.find("k1", "ES256")
    idp.status = 500
    clock.now = FRESH_SECONDS + 1
    assert await keys.find("k1", "ES256")
    clock.now = STALE_SECONDS + 1
    with pytest.raises(IssuerDown):
        await keys.find("k1", "ES256")
    idp.status = 200
    clock.now += RETRY_SECONDS
    assert await keys.find("k1", "ES256")


async def test_a_slow_provider_delays_nobody_who_is_known(idp: Provider) -> None:
    """A refresh runs beside the tokens that need no refresh."""
    clock = Clock()
    idp.add("k1", KEY)
    keys = RemoteKeys(external(idp.url), clock)
    assert await keys.find("k1", "ES256")
    idp.release = threading.Event()
    clock.now = FRESH_SECONDS + 1
    assert await asyncio.wait_for(keys.find("k1", "ES256"), 2)
    waiting = asyncio.create_task(keys.find("k2", "ES256"))
    idp.release.set()
    assert await waiting is None
    assert idp.asked == 2


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": 1}', b"<html>", b"[" * 100_000, b"\xff", b" " * 300_000])
async def test_nonsense_is_no_key_set(idp: Provider, body: bytes) -> None:
    """Nobody can say whether a token is valid then, so it is neither valid nor invalid."""
    idp.body = body
    with pytest.raises(IssuerDown):
        await RemoteKeys(external(idp.url)).find("k1", "ES256")


async def test_redirects_are_not_followed(idp: Provider) -> None:
    """The operator named one address; the answer may not send us elsewhere."""
    idp.add("k1", KEY)
    idp.status, idp.location = 302, idp.url
    with pytest.raises(IssuerDown):
        await RemoteKeys(external(idp.url)).find("k1", "ES256")
    assert idp.asked == 1


async def test_a_dribbling_provider_is_cut_off(idp: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole answer has a deadline, not only each of its bytes."""
    monkeypatch.setattr(issuers, "FETCH_SECONDS", 0.2)
    idp.dribbles = True
    with pytest.raises(IssuerDown):
        await RemoteKeys(external(idp.url)).find("k1", "ES256")


async def test_nobody_at_home() -> None:
    """A refused connection is an outage like any other."""
    with provider() as idp:
        url = idp.url
    with pytest.raises(IssuerDown):
        await RemoteKeys(external(url)).find("k1", "ES256")


async def test_algorithms_are_bound_to_keys(idp: Provider) -> None:
    """Each key serves only what fits its type, its own `alg` and the issuer's allow-list; symmetric ones nothing."""
    idp.add("ec", KEY)
    idp.add("rsa", rsa.generate_private_key(65537, 2048))
    idp.add("ed", ed25519.Ed25519PrivateKey.generate())
    idp.add("named", KEY, alg="ES384")
    idp.add("encryption", KEY, use="enc")
    idp.keys += [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "oct"},
        {"kty": "EC", "crv": "P-256", "x": "?", "y": "?", "kid": "broken"},
        {"kty": ["EC"], "kid": "odd"},
        {"kty": "EC", "crv": 5, "kid": "odd"},
    ]
    keys = RemoteKeys(external(idp.url, algorithms=("ES256", "RS256", "EdDSA")))
    assert (await keys.find("ec", "ES256")) is not None
    assert (await keys.find("rsa", "RS256")) is not None
    assert (await keys.find("ed", "EdDSA")) is not None
    for kid, algorithm in [
        ("ec", "RS256"),
        ("ec", "ES384"),
        ("rsa", "PS256"),
        ("rsa", "HS256"),
        ("named", "ES256"),
        ("named", "ES384"),
        ("encryption", "ES256"),
        ("oct", "HS256"),
        ("broken", "ES256"),
        ("odd", "ES256"),
        (None, "ES256"),
    ]:
        assert await keys.find(kid, algorithm) is None


async def test_the_only_key_needs_no_id(idp: Provider) -> None:
    """A token may leave the kid out where there is one key (OpenID Connect Core §10.1)."""
    idp.add(None, KEY)
    keys = RemoteKeys(external(idp.url))
    assert await keys.find(None, "ES256") is not None
