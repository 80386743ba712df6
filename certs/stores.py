"""What the stores of a cluster, and whoever asks them, show each other: an authority apart from that of edges and apps.

Apart, because an app takes whoever holds a client certificate of that other one for an edge (app/inner.py).
"""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.authority import CertificateError, keep_authority, keep_leaf

SERVERS = {
    "postgres": tuple(f"postgres-{number}" for number in (1, 2, 3)),
    "valkey": tuple(f"{kind}-{number}" for kind in ("valkey", "sentinel") for number in (1, 2, 3)),
}
"""What each kind of server is called in the cluster: one certificate for all of its kind."""
REPOSITORY = "repository"
"""Of the backups: PostgreSQL's servers ask it, and it asks them, with one certificate for both."""
ROLES = ("portcullis", "portcullis_owner", "portcullis_watch", "portcullis_replica")
"""Of PostgreSQL: each shows a certificate with its own name (`clientcert=verify-full`)."""


def ensure_stores(folder: Path, *, now: datetime.datetime | None = None) -> list[str]:
    """Make or renew ca, the servers', the roles' and the repository's in `folder` (keys 0600).

    A line for each with what was done. Bounds are those of `authority.ensure`. Raises CertificateError when the folder
    cannot be written.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    servers = {name: tuple(map(x509.DNSName, hosts)) for name, hosts in SERVERS.items()}
    roles = {role: (x509.DNSName(role),) for role in ROLES}
    repository = (x509.DNSName(REPOSITORY),)
    every = tuple(name for names in (*servers.values(), *roles.values(), repository) for name in names)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority, said = keep_authority(folder, every, now)
        lines = [said]
        for name, names in servers.items():
            lines.append(keep_leaf(folder, name, names, (ExtendedKeyUsageOID.SERVER_AUTH,), authority, now))
        for role, names in roles.items():
            lines.append(
                keep_leaf(folder, role, names, (ExtendedKeyUsageOID.CLIENT_AUTH,), authority, now, called=role)
            )
        both = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
        called = f"portcullis_{REPOSITORY}"
        lines.append(keep_leaf(folder, REPOSITORY, repository, both, authority, now, called=called))
    except OSError as error:
        raise CertificateError(f"The certificates in {folder} cannot be written: {error}.") from error
    return lines
