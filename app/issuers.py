"""The public keys of an external identity provider: fetched off the event loop, cached, bounded in size and time."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from jwt import PyJWK, PyJWTError

from app import bounded, request_id
from app.issuer import Issuer

FRESH_SECONDS: Final = 600.0
"""After this a key set is fetched again before it is believed."""
STALE_SECONDS: Final = 3600.0
"""For so long it is still believed while its provider does not answer: a key withdrawn there must not live on here."""
RETRY_SECONDS: Final = 10.0
"""The least time between two fetches, whatever unknown key ids are presented."""
FETCH_SECONDS: Final = 5.0
MAX_BYTES: Final = 262_144
_MAX_KEYS: Final = 64
_LOG = logging.getLogger("portcullis.issuers")

_ALGORITHMS: Final[Mapping[tuple[str, str | None], frozenset[str]]] = {
    ("RSA", None): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
"""What a key of that type and curve can verify. Symmetric keys are not here, so none is ever taken from a key set."""


class IssuerDown(Exception):  # noqa: N818 - the state of a thing, as StoreDown is
    """The provider's keys are not known and cannot be fetched now: nobody can say whether a token is valid."""


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """The operator named one address; the answer may not name another."""


class RemoteKeys:
    """One provider's key set. `find` is all a caller needs; it fetches by itself, at most once every RETRY_SECONDS."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: dict[tuple[str | None, str], PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key of that id (the only one, where a token names none), bound to the algorithm; None when unknown.

        Raises IssuerDown when no believable key set is at hand. Waits for a fetch only where it decides the answer.
        """
        known = (kid, algorithm) in self._keys
        if not known or self._age() > FRESH_SECONDS:
            fetching = self._fetch()
            if fetching is not None and (not known or self._age() > STALE_SECONDS):
                await asyncio.shield(fetching)
        if self._age() > STALE_SECONDS:
            raise IssuerDown(self._issuer.issuer)
        return self._keys.get((kid, algorithm))

    def _age(self) -> float:
        return self._clock() - self._fetched

    def _fetch(self) -> asyncio.Task[None] | None:
        """The running fetch, or a new one; None when the last was too short ago."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._clock() - self._tried < RETRY_SECONDS:
            return None
        self._tried = self._clock()
        self._fetching = asyncio.create_task(self._renew(), context=request_id.apart())
        return self._fetching

    async def _renew(self) -> None:
        try:
            download = asyncio.to_thread(_download, self._issuer.jwks_url)
            content = await asyncio.wait_for(download, FETCH_SECONDS + 1.0)
            self._keys = _usable(json.loads(content), self._issuer.algorithms)
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            _LOG.warning("issuer_unreachable", extra={"issuer": self._issuer.issuer, "detail": str(error)})
        else:
            self._fetched = self._clock()


def _download(url: str) -> bytes:
    """Runs in a thread. Raises OSError after FETCH_SECONDS, ValueError when there are more than MAX_BYTES."""
    deadline = time.monotonic() + FETCH_SECONDS
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - the settings allow https only
    try:
        opened = build_opener(_NoRedirect).open(request, timeout=FETCH_SECONDS)
    except HTTPError as error:
        error.close()
        raise URLError(f"the provider answered with status {error.code}") from None
    with opened as answer:
        return bounded.read(answer, MAX_BYTES, deadline)


def _usable(document: Any, allowed: Iterable[str]) -> dict[tuple[str | None, str], PyJWK]:
    """The signature keys of a JWK Set by (kid, algorithm). Raises ValueError when it is no JWK Set."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("the answer is not a JWK Set")
    keys: dict[tuple[str | None, str], PyJWK] = {}
    signing = [jwk for jwk in document["keys"][:_MAX_KEYS] if isinstance(jwk, dict) and jwk.get("use", "sig") == "sig"]
    for jwk in signing:
        for algorithm in _algorithms(jwk) & set(allowed):
            key = _bind(jwk, algorithm)
            if key is not None:
                kid = jwk.get("kid")
                keys[kid if isinstance(kid, str) else None, algorithm] = key
                if len(signing) == 1:
                    keys[None, algorithm] = key
    return keys


def _algorithms(jwk: dict[str, Any]) -> frozenset[str]:
    kind, curve, named = jwk.get("kty"), jwk.get("crv"), jwk.get("alg")
    if not isinstance(kind, str) or not (curve is None or isinstance(curve, str)):
        return frozenset()
    possible = _ALGORITHMS.get((kind, curve), frozenset())
    return possible if named is None else possible & {str(named)}


def _bind(jwk: dict[str, Any], algorithm: str) -> PyJWK | None:
    """None for a key that does not parse: one broken key must not take the provider's other keys with it."""
    try:
        return PyJWK({name: value for name, value in jwk.items() if name != "d"}, algorithm)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
