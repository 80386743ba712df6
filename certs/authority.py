"""The two certificates: a name-constrained authority, and the server's that it signs.

The limits come from Mozilla's server-side TLS guidelines 6.0 (leaf at most 366 days, ECDSA P-256)
and RFC 5280 (4.2.1.9 path length, 4.2.1.10 name constraints).
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 1826
SERVER_DAYS = 365
RENEW_DAYS = 30
_BACKDATED = datetime.timedelta(minutes=5)
"""A client's clock may be a little behind."""
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

GIVEN = "given"
"""The file beside a certificate from elsewhere that says by which of its names to call it."""

Key = ec.EllipticCurvePrivateKey


class CertificateError(RuntimeError):
    """The certificates cannot be made; the text is one sentence for the operator."""


def ensure(
    folder: Path, hosts: tuple[str, ...], *, owner: str | None = None, now: datetime.datetime | None = None
) -> list[str]:
    """Make or renew the files in `folder` (keys 0600); return what was done, one line per certificate.

    A new authority is made when there is none, when it ends within 30 days, when a host lies
    outside its constraints, or when its key does not fit; clients must then trust it anew. Raises
    CertificateError for a host that is no name or address, and when the folder cannot be written.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    names = tuple(dict.fromkeys(_general_name(host) for host in (*hosts, "localhost", "127.0.0.1", "::1")))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority, ca_said = keep_authority(folder, names, now)
        server_said = _server(folder, names, authority, now)
        (folder / GIVEN).unlink(missing_ok=True)
        hand_over(folder, owner)
    except (OSError, LookupError) as error:
        raise CertificateError(f"The certificates in {folder} cannot be written: {error}.") from error
    return [ca_said, server_said]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    labels = host.split(".")
    plain = all(label and label.strip("-") == label and label.replace("-", "").isalnum() for label in labels)
    if not (plain and host.isascii() and host == host.lower()):
        raise CertificateError(f"{host!r} is no lower-case host name and no address.")
    return x509.DNSName(host)


def keep_authority(
    folder: Path, names: tuple[x509.GeneralName, ...], now: datetime.datetime
) -> tuple[tuple[x509.Certificate, Key], str]:
    """The authority in `folder`, kept or made, and what was done. Raises OSError."""
    kept, why = _read(folder, "ca", lambda certificate: _authority_fault(certificate, names, now))
    if kept:
        return kept, f"Kept the local authority (valid until {day(kept[0])})."
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign_authority(key, names, now)
    _save(folder, "ca", certificate, key)
    return (certificate, key), f"Made a local authority, valid until {day(certificate)}: {why}."


def _server(
    folder: Path,
    names: tuple[x509.GeneralName, ...],
    authority: tuple[x509.Certificate, Key],
    now: datetime.datetime,
) -> str:
    return keep_leaf(folder, "server", names, (ExtendedKeyUsageOID.SERVER_AUTH,), authority, now)


def keep_leaf(
    folder: Path,
    name: str,
    names: tuple[x509.GeneralName, ...],
    purposes: tuple[x509.ObjectIdentifier, ...],
    authority: tuple[x509.Certificate, Key],
    now: datetime.datetime,
    *,
    called: str = "Portcullis",
) -> str:
    """Keep or make NAME.pem and NAME.key in `folder`, its common name `called`; what was done. Raises OSError."""
    kept, why = _read(folder, name, lambda certificate: _leaf_fault(certificate, names, authority[0], now))
    if kept:
        return f"Kept the {name} certificate (valid until {day(kept[0])})."
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign_leaf(key, names, purposes, authority, now, called)
    _save(folder, name, certificate, key)
    return f"Made the {name} certificate, valid until {day(certificate)}: {why}."


def _read(
    folder: Path, name: str, fault: Callable[[x509.Certificate], str]
) -> tuple[tuple[x509.Certificate, Key] | None, str]:
    """The stored pair, or None and the reason why it cannot be kept."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    except FileNotFoundError:
        return None, "there was none"
    except ValueError:
        return None, "the old one could not be read"
    if not isinstance(key, Key) or key.public_key() != certificate.public_key():
        return None, "the old one did not fit its key"
    why = fault(certificate)
    return (None, why) if why else ((certificate, key), "")


def _authority_fault(certificate: x509.Certificate, names: tuple[x509.GeneralName, ...], now: datetime.datetime) -> str:
    if late := _out_of_time(certificate, now):
        return late
    permitted = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    wanted = _constraints(names)
    return "" if set(wanted) <= set(permitted or ()) else "a host lay outside the old one's names"


def _leaf_fault(
    certificate: x509.Certificate,
    names: tuple[x509.GeneralName, ...],
    authority: x509.Certificate,
    now: datetime.datetime,
) -> str:
    if late := _out_of_time(certificate, now):
        return late
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return "the old one was signed by another authority"
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return "" if set(held) == set(names) else "the hosts changed"


def _out_of_time(certificate: x509.Certificate, now: datetime.datetime) -> str:
    """Why its dates do not do; a clock that was wrong when it was made shows as a start in the future."""
    if certificate.not_valid_before_utc > now:
        return "the old one was not valid yet"
    soon = certificate.not_valid_after_utc - now < datetime.timedelta(days=RENEW_DAYS)
    return "the old one ended within 30 days" if soon else ""


def day(certificate: x509.Certificate) -> str:
    """The last day of its life."""
    return certificate.not_valid_after_utc.date().isoformat()


def _constraints(names: tuple[x509.GeneralName, ...]) -> list[x509.GeneralName]:
    """What the authority may sign: the hosts (and names below them) and loopback, nothing else."""
    outside = [name for name in names if not _is_loopback(name)]
    networks = [x509.IPAddress(network) for network in _LOOPBACK]
    return [x509.IPAddress(ipaddress.ip_network(name.value)) if isinstance(name, x509.IPAddress) else name
            for name in outside] + networks  # fmt: skip


def _is_loopback(name: x509.GeneralName) -> bool:
    address = name.value
    if not isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return False
    return any(address in network for network in _LOOPBACK)


def _sign_authority(key: Key, names: tuple[x509.GeneralName, ...], now: datetime.datetime) -> x509.Certificate:
    # A serial number in the name keeps two authorities of one machine apart in a browser's list.
    subject = _name(f"Portcullis local authority {os.urandom(4).hex()}")
    builder = _builder(subject, subject, key, now, now + datetime.timedelta(days=AUTHORITY_DAYS))
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(certificates=True), True),
        (x509.NameConstraints(_constraints(names), None), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _sign_leaf(
    key: Key,
    names: tuple[x509.GeneralName, ...],
    purposes: tuple[x509.ObjectIdentifier, ...],
    authority: tuple[x509.Certificate, Key],
    now: datetime.datetime,
    called: str,
) -> x509.Certificate:
    issuer, issuer_key = authority
    ends = min(now + datetime.timedelta(days=SERVER_DAYS), issuer.not_valid_after_utc)
    builder = _builder(_name(called), issuer.subject, key, now, ends)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(certificates=False), True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime.datetime, ends: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - _BACKDATED).not_valid_after(ends)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _save(folder: Path, name: str, certificate: x509.Certificate, key: Key) -> None:
    """Write key and certificate; a stop between the two leaves a pair that does not fit and is made anew."""
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    replace(folder / f"{name}.key", secret, 0o600)
    replace(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def replace(path: Path, content: bytes, mode: int) -> None:
    """Put the file there as a whole, with its mode from its first moment on."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    # Made with its mode, never readable by others in between; the mode set again whatever the umask.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(mode)
    part.replace(path)


def hand_over(folder: Path, owner: str | None) -> None:
    """Tighten the keys' modes even where they were kept, and give nginx its own."""
    for name in ("ca.key", "server.key"):
        if (folder / name).exists():
            (folder / name).chmod(0o600)
    if owner is not None and os.geteuid() == 0:
        shutil.chown(folder / "server.key", owner)
