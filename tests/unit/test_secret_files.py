"""Secrets are believed only from files that nobody else can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.secret_files import read_secret
from app.settings import SettingsError


def test_a_secret_file(tmp_path: Path) -> None:
    """A secret is a file that only its owner can read, of enough bytes; its final newline is not part of it."""
    path = tmp_path / "secret"
    with pytest.raises(SettingsError, match=r"secret cannot be read: No such file or directory\.$"):
        read_secret(path)
    path.write_bytes(b"canary-canary\n")
    for mode in (0o644, 0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(SettingsError, match=r"can be read by others: run chmod 600 on it\.$") as stopped:
            read_secret(path)
        assert "canary" not in str(stopped.value)
    path.chmod(0o600)
    assert read_secret(path) == b"canary-canary"
    with pytest.raises(SettingsError, match=r"too short: it needs at least 32 bytes\.$"):
        read_secret(path, 32)
    path.write_bytes(b"\n")
    with pytest.raises(SettingsError, match="too short"):
        read_secret(path)
