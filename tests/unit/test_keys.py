"""Signing keys: files, rotation under a running server, publication."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from app.keys import KeyFolder, SharedSecret, create_key, open_keys, prune_keys, thumbprint
from app.settings import Settings, SettingsError


class Clock:
    """Monotonic seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets" / "signing"


def test_thumbprint_follows_rfc_7638() -> None:
    """Only the required members count, in their canonical order; the value is an independent computation's."""
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "use": "enc",
        "kid": "1",
    }
    assert thumbprint(jwk) == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


def test_key_files_are_private(folder: Path) -> None:
    """Folder 0700, file 0600, nothing else left behind."""
    create_key(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_newest_signs_and_all_verify(folder: Path) -> None:
    """Rotation logs nobody out: the older key still verifies; the key set names the newest first."""
    first, second = create_key(folder), create_key(folder)
    keys = KeyFolder(folder)
    assert keys.signer().kid == second
    assert keys.find(first) is not None
    assert [jwk["kid"] for jwk in keys.jwks()["keys"]] == [second, first]
    assert "d" not in keys.jwks()["keys"][0]


def test_rotation_reaches_a_running_server(folder: Path) -> None:
    """The signer changes within a second; a token of the new key verifies at once."""
    first, clock = create_key(folder), Clock()
    keys = KeyFolder(folder, clock)
    second = create_key(folder)
    assert keys.signer().kid == first
    assert keys.find(second) is not None
    third = create_key(folder)
    clock.now = 1.0
    assert keys.signer().kid == third


def test_unchanged_files_keep_their_objects(folder: Path) -> None:
    """The cache of verified tokens relies on it."""
    first = create_key(folder)
    keys = KeyFolder(folder)
    before = keys.find(first)
    second = create_key(folder)
    assert keys.find(second) is not None
    assert keys.find(first) is before


def test_pruned_keys_verify_no_more(folder: Path) -> None:
    """Only what was superseded long enough ago goes, and never the newest."""
    first, second = create_key(folder), create_key(folder)
    clock = Clock()
    keys = KeyFolder(folder, clock)
    now = time.time()
    assert prune_keys(folder, 60.0, now) == []
    assert prune_keys(folder, 60.0, now + 61) == [first]
    assert prune_keys(folder, 0.0, now + 61) == []
    clock.now = 1.0
    assert keys.find(first) is None
    assert keys.find(second) is not None


def test_the_clock_going_back_does_not_matter(folder: Path) -> None:
    """The key made last signs, also when the newest file is named after a later time."""
    folder.mkdir(parents=True, mode=0o700)
    create_key(folder)
    (file,) = folder.iterdir()
    file.rename(folder / "99999999999999999990.pem")
    made = create_key(folder)
    assert KeyFolder(folder).signer().kid == made


def test_a_broken_change_keeps_the_keys(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A running server goes on with what it has and says so once; repaired, it follows again."""
    first = create_key(folder)
    keys = KeyFolder(folder)
    bad = folder / "99999999999999999999.pem"
    bad.touch(0o600)
    with caplog.at_level(logging.INFO, "portcullis.security"):
        for _ in range(3):
            assert keys.find("unknown") is None
        assert keys.signer().kid == first
        bad.unlink()
        assert keys.find("unknown") is None
        second = create_key(folder)
        assert keys.find(second) is not None
    assert [record.message for record in caplog.records] == ["keys_unreadable", "keys_reloaded"]


@pytest.mark.parametrize("curve", [ec.SECP384R1(), None])
def test_other_keys_are_refused(folder: Path, curve: ec.EllipticCurve | None) -> None:
    """ES256 means P-256."""
    folder.mkdir(parents=True, mode=0o700)
    key = ec.generate_private_key(curve) if curve else rsa.generate_private_key(65537, 2048)
    file = folder / "1.pem"
    file.touch(0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SettingsError, match="P-256"):
        KeyFolder(folder)


def test_unsafe_files_stop_the_start(folder: Path, tmp_path: Path) -> None:
    """Missing, empty, world-readable and foreign-writable each get a sentence of their own."""
    with pytest.raises(SettingsError, match="holds no key"):
        KeyFolder(tmp_path / "nowhere")
    folder.mkdir(parents=True, mode=0o700)
    with pytest.raises(SettingsError, match="keys init"):
        KeyFolder(folder)
    create_key(folder)
    (file,) = folder.iterdir()
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        KeyFolder(folder)
    file.chmod(0o600)
    folder.chmod(0o777)
    with pytest.raises(SettingsError, match="chmod 700"):
        KeyFolder(folder)


def test_keys_belong_to_the_folders_owner(folder: Path) -> None:
    """The server's user must be able to read what root's rotation made."""
    folder.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    create_key(folder)
    (file,) = folder.iterdir()
    assert file.stat().st_uid == folder.stat().st_uid


def test_shared_secret(tmp_path: Path) -> None:
    """HS256 only with 32 bytes or more; nothing of it is published, nor can it be read from the kid."""
    file = tmp_path / "hs256"
    file.touch(0o600)
    file.write_bytes(b"s" * 31)
    settings = Settings(state=tmp_path, hs256_secret_file=file)
    with pytest.raises(SettingsError, match="32 bytes"):
        open_keys(settings)
    with pytest.raises(SettingsError, match="32 bytes"):
        SharedSecret(b"s" * 31)
    file.write_bytes(b"s" * 32)
    keys = open_keys(settings)
    assert keys.jwks() == {"keys": []}
    assert keys.find("other") is None
    assert keys.find(keys.signer().kid) is keys.signer().public
    assert keys.signer().algorithm == "HS256"
