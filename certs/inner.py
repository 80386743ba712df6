"""What edges and apps on different hosts show each other: an authority of their own, and a certificate for each end."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import CertificateError, keep_authority, keep_leaf

ENDS = {"app": ExtendedKeyUsageOID.SERVER_AUTH, "edge": ExtendedKeyUsageOID.CLIENT_AUTH}
"""Each end by its name, and the one purpose (RFC 5280 §4.2.1.12) that its certificate is good for."""


def ensure_inner(folder: Path, *, now: datetime.datetime | None = None) -> list[str]:
    """Make or renew ca, app and edge in `folder` (keys 0600); return what was done, one line per certificate.

    Bounds are those of `authority.ensure`. Raises CertificateError when the folder cannot be written.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    names = {end: x509.DNSName(end) for end in ENDS}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority, said = keep_authority(folder, tuple(names.values()), now)
        return [said, *(keep_leaf(folder, end, (names[end],), (ENDS[end],), authority, now) for end in ENDS)]
    except OSError as error:
        raise CertificateError(f"The certificates in {folder} cannot be written: {error}.") from error
