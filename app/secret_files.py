"""Files that hold a secret: nobody but their owner may read them."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from app.settings import PREFIX, Settings, SettingsError


def read_secret(path: Path, least_bytes: int = 1) -> bytes:
    """A secret file's content without its final newline.

    Raises SettingsError when it is missing, too short, or readable by anyone but its owner.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise SettingsError(f"The secret file {path} cannot be read: {error.strerror}.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SettingsError(f"The secret file {path} can be read by others: run chmod 600 on it.")
    if len(content) < least_bytes:
        raise SettingsError(f"The secret file {path} is too short: it needs at least {least_bytes} bytes.")
    return content


def check_secrets(settings: Settings) -> None:
    """Raises SettingsError where a server's password or CA is not there, now rather than with the first connection."""
    for path in (settings.database_password_file, settings.redis_password_file):
        if path is not None:
            read_secret(path)
    if settings.redis_ca_file is not None:
        try:
            ssl.create_default_context(cafile=settings.redis_ca_file)
        except OSError as error:  # SSLError is one
            raise SettingsError(f"{PREFIX}REDIS_CA_FILE: {settings.redis_ca_file} holds no certificate.") from error
