"""The listener for edges on other hosts: TLS 1.3 (RFC 8446), and only for who holds a certificate of its authority."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

from app.secret_files import read_secret
from app.settings import Settings, SettingsError

HANDSHAKE_SECONDS: Final = 5.0
"""For a TLS handshake; an edge takes milliseconds."""


def context(folder: Path) -> ssl.SSLContext:
    """What `PORTCULLIS_INNER_TLS` names. Raises SettingsError when something is missing, open or does not fit.

    A certificate that is for servers alone (RFC 5280 §4.2.1.12) lets nobody in.
    """
    read_secret(folder / "app.key")
    try:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.load_cert_chain(folder / "app.pem", folder / "app.key")
        made.load_verify_locations(folder / "ca.pem")
        made.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:  # SSLError is one
        raise SettingsError(
            f"PORTCULLIS_INNER_TLS: {folder} must hold app.pem, app.key and ca.pem, which fit together: {error}."
        ) from None
    return made


def is_inner(one: socket.socket, settings: Settings) -> bool:
    """Whether a listening socket is this listener's."""
    if not settings.inner_bind or one.family == socket.AF_UNIX:
        return False
    return int(one.getsockname()[1]) == int(settings.inner_bind.rpartition(":")[2])
