"""The keys that sign our tokens: a folder of ES256 keys that rotates under a running server, or one HS256 secret.

The last file by name signs, all of them verify, and every key's `kid` is its RFC 7638 thumbprint.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt import PyJWK
from jwt.algorithms import ECAlgorithm

from app.secret_files import read_secret
from app.settings import Settings, SettingsError

LOOK_SECONDS: Final = 1.0
"""How old the view of the folder may be; an unknown kid looks at once."""
_LEAST_SECRET_BYTES: Final = 32
_SECURITY = logging.getLogger("portcullis.security")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key: signs when it is the newest, verifies until it is pruned."""

    kid: str
    algorithm: str
    private: EllipticCurvePrivateKey | bytes
    public: PyJWK
    """Bound to the algorithm, so that a token's header cannot choose another one (RFC 8725 §3.1)."""


class Keys(Protocol):
    """What minting and verifying tokens needs."""

    def signer(self) -> SigningKey:
        """The key that signs now."""
        ...

    def find(self, kid: str) -> PyJWK | None:
        """The key of that id, None when it is unknown or was pruned."""
        ...

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK Set (RFC 7517 §5)."""
        ...


def open_keys(settings: Settings) -> Keys:
    """The keys that the settings name. Raises SettingsError when one is missing, unsafe or broken."""
    if settings.hs256_secret_file is not None:
        return SharedSecret(read_secret(settings.hs256_secret_file, _LEAST_SECRET_BYTES))
    return KeyFolder(settings.signing_folder)


class SharedSecret:
    """HS256 with one secret; whoever verifies with it can also sign, so nothing of it is published."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _LEAST_SECRET_BYTES:
            raise SettingsError(f"The HS256 secret needs at least {_LEAST_SECRET_BYTES} bytes.")
        kid = _base64url(hmac.digest(secret, b"portcullis kid", "sha256"))
        public = PyJWK({"kty": "oct", "k": _base64url(secret), "kid": kid}, "HS256")
        self._key = SigningKey(kid, "HS256", secret, public)

    def signer(self) -> SigningKey:
        """See `Keys.signer`."""
        return self._key

    def find(self, kid: str) -> PyJWK | None:
        """See `Keys.find`."""
        return self._key.public if kid == self._key.kid else None

    def jwks(self) -> dict[str, Any]:
        """Nothing: a shared secret has no public part."""
        return {"keys": []}


_Listed = tuple[str, int, int, int]
"""A file's name, inode, size and modification time: what changes when its content does."""


class KeyFolder:
    """ES256 keys in a folder of PEM files. What the command line changes there takes effect within LOOK_SECONDS."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._looked = clock()
        self._readable = True
        self._listed = _listing(folder)
        self._keys = _load(folder, self._listed, {})

    def signer(self) -> SigningKey:
        """See `Keys.signer`."""
        self._look()
        return self._keys[self._listed[-1]]

    def find(self, kid: str) -> PyJWK | None:
        """See `Keys.find`. An unknown kid looks into the folder at once: another process may sign with it already."""
        self._look()
        found = self._known(kid)
        if found is None:
            self._look(at_once=True)
            found = self._known(kid)
        return found

    def jwks(self) -> dict[str, Any]:
        """See `Keys.jwks`."""
        self._look()
        return {"keys": [public_jwk(self._keys[listed]) for listed in reversed(self._listed)]}

    def _known(self, kid: str) -> PyJWK | None:
        return next((key.public for key in self._keys.values() if key.kid == kid), None)

    def _look(self, at_once: bool = False) -> None:
        now = self._clock()
        if not at_once and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            listed = _listing(self._folder)
            if listed == self._listed:
                self._readable = True
                return
            self._keys, self._listed = _load(self._folder, listed, self._keys), listed
        except SettingsError as error:
            # A half-made change must not end a running server: the keys it has stay in force.
            if self._readable:
                _SECURITY.error("keys_unreadable", extra={"detail": str(error)})
            self._readable = False
            return
        self._readable = True
        _SECURITY.info("keys_reloaded", extra={"kids": [key.kid for key in self._keys.values()]})


def create_key(folder: Path) -> str:
    """Write a new key that signs from now on; its kid. The folder is made when it is missing (mode 0700).

    The file appears whole (link after write) and belongs to the folder's owner, also when root makes it.
    """
    for made in (folder.parent, folder):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / f"{_next_stamp(folder)}.pem"
    unfinished = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        _give_to_owner(descriptor, folder)
        os.fsync(descriptor)
    unfinished.rename(path)
    return _signing_key(key).kid


def prune_keys(folder: Path, superseded_seconds: float, now: float) -> list[str]:
    """Delete the keys that stopped signing at least so many seconds ago; their kids.

    The newest always stays. With 0 every token signed by an older key ends at once.
    """
    listed = _listing(folder)
    keys = _load(folder, listed, {})
    pruned: list[str] = []
    for entry, successor in pairwise(listed):
        if now - successor[3] / 1e9 >= superseded_seconds:
            (folder / entry[0]).unlink(missing_ok=True)
            pruned.append(keys[entry].kid)
    return pruned


def thumbprint(jwk: dict[str, Any]) -> str:
    """The RFC 7638 thumbprint of an EC key: SHA-256 over its required members in their canonical form."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    return _base64url(hashlib.sha256(canonical).digest())


def public_jwk(key: SigningKey) -> dict[str, Any]:
    """The public members of an EC key, as published."""
    members = ECAlgorithm.to_jwk(key.public.key, as_dict=True)
    return {**members, "kid": key.kid, "alg": key.algorithm, "use": "sig"}


def _listing(folder: Path) -> list[_Listed]:
    try:
        stats = sorted((path.name, path.stat()) for path in folder.glob("*.pem"))
        mode = folder.stat().st_mode if stats else 0
    except OSError as error:
        raise SettingsError(f"The key folder {folder} cannot be read: {error.strerror}.") from None
    if not stats:
        raise SettingsError(f"The key folder {folder} holds no key: run `python -m app keys init`.")
    if stat.S_IMODE(mode) & 0o022:
        raise SettingsError(f"The key folder {folder} can be written by others: run chmod 700 on it.")
    return [(name, found.st_ino, found.st_size, found.st_mtime_ns) for name, found in stats]


def _load(folder: Path, listed: Iterable[_Listed], known: dict[_Listed, SigningKey]) -> dict[_Listed, SigningKey]:
    """Unchanged files keep their key object: the cache of verified tokens compares it."""
    return {entry: known.get(entry) or _read(folder / entry[0]) for entry in listed}


def _read(path: Path) -> SigningKey:
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError):
        raise SettingsError(f"The key file {path} is not an unencrypted PEM private key.") from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise SettingsError(f"The key file {path} is not a P-256 key, which ES256 needs.")
    return _signing_key(key)


def _signing_key(private: EllipticCurvePrivateKey) -> SigningKey:
    jwk = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return SigningKey(thumbprint(jwk), "ES256", private, PyJWK(jwk, "ES256"))


def _next_stamp(folder: Path) -> str:
    """Microseconds since 1970, always after the newest key's, also when the clock went back."""
    stamps = [int(path.stem) for path in folder.glob("*.pem") if path.stem.isdecimal()]
    return f"{max([time.time_ns() // 1000, *(stamp + 1 for stamp in stamps)]):020d}"


def _give_to_owner(descriptor: int, folder: Path) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
