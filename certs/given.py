"""A certificate that the operator has from elsewhere, in the place of the one that our own authority signs."""

from __future__ import annotations

import datetime
import ipaddress
import stat
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.authority import GIVEN, CertificateError, day, hand_over, replace

_RSA_BITS: Final = 2048
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def take(
    folder: Path,
    certificate: Path,
    key: Path,
    hosts: tuple[str, ...],
    *,
    owner: str | None = None,
    now: datetime.datetime | None = None,
) -> list[str]:
    """Put the chain in `certificate` (PEM, the server's own first) and its key into `folder`; return what was done.

    Raises CertificateError for files that cannot be read, a key that others can read or that belongs to another
    certificate, one out of its time, and one that does not name each of `hosts`, loopback aside.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    chain, leaf = _chain(certificate)
    secret = _secret(key)
    _fits(certificate, leaf, key, secret)
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise CertificateError(
            f"{certificate} is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to {day(leaf)} only: renew it."
        )
    outside = tuple(dict.fromkeys(host for host in hosts if host not in _LOOPBACK))
    unnamed = [host for host in outside if not names(leaf, host)]
    if unnamed or not outside:
        what = f"does not name {', '.join(unnamed)}" if unnamed else "needs a host that it names besides localhost"
        raise CertificateError(f"{certificate} {what}: get another one, or change PORTCULLIS_HOSTS.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = _same(folder / "server.pem", chain) and _same(folder / "server.key", secret)
        if not kept:
            replace(folder / "server.key", secret, 0o600)
            replace(folder / "server.pem", chain, 0o644)
        if not _same(folder / GIVEN, outside[0].encode()):
            replace(folder / GIVEN, outside[0].encode(), 0o644)
        hand_over(folder, owner)
    except (OSError, LookupError) as error:
        raise CertificateError(f"The certificates in {folder} cannot be written: {error}.") from error
    return [f"{'Kept' if kept else 'Took'} the given certificate (valid until {day(leaf)})."]


def names(leaf: x509.Certificate, host: str) -> bool:
    """Whether the certificate is for this name or address; a `*` stands for one label (RFC 9525 §6.3)."""
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in held.get_values_for_type(x509.IPAddress)
    except ValueError:
        wild = f"*.{host.partition('.')[2]}"
        return bool({host, wild} & {name.lower() for name in held.get_values_for_type(x509.DNSName)})


def _chain(path: Path) -> tuple[bytes, x509.Certificate]:
    content = _read(path)
    try:
        return content, x509.load_pem_x509_certificates(content)[0]
    except ValueError:
        raise CertificateError(f"{path} holds no certificate in PEM, with the server's own as its first.") from None


def _secret(path: Path) -> bytes:
    content = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise CertificateError(f"{path} can be read by others: run chmod 600 on it.")
    return content


def _fits(certificate: Path, leaf: x509.Certificate, path: Path, secret: bytes) -> None:
    try:
        key = serialization.load_pem_private_key(secret, None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        raise CertificateError(f"{path} holds no private key in PEM without a password.") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _RSA_BITS:
        raise CertificateError(f"{path} is an RSA key of {key.key_size} bits: it needs at least {_RSA_BITS}.")
    if key.public_key() != leaf.public_key():
        raise CertificateError(f"{path} does not belong to the certificate {certificate}.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}.") from None


def _same(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content
