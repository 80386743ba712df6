"""The command line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from app.__main__ import main
from app.keys import KeyFolder
from app.model import UserName
from app.passwords import Passwords
from app.settings import Settings
from app.store import Store


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PORTCULLIS_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def ready(state: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Keys and an empty database."""
    assert main(["keys", "init"]) == main(["migrate"]) == 0
    capsys.readouterr()
    return state


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_first_steps(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order in which a new machine goes through them; each may be repeated."""
    for words in (["check"], ["migrate"], ["migrate"]):
        assert said(capsys, *words) == (0, "", "")
    status, out, _ = said(capsys, "keys", "init")
    assert status == 0 and out.endswith("signs now\n")
    assert said(capsys, "keys", "init") == (0, "", "")
    assert said(capsys, "check") == (0, "", "")
    status, password, _ = said(capsys, "bootstrap")
    assert status == 0 and len(password.strip()) == 23
    assert said(capsys, "bootstrap") == (0, "", "")


def test_bootstrap_makes_an_administrator(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a one-time password that really is its password."""
    password = said(capsys, "bootstrap")[1].strip()

    async def ask() -> None:
        store = Store(Settings(state=ready).database, 5.0)
        await store.open()
        account = await store.account(UserName("admin"))
        await store.close()
        passwords = Passwords(Settings())
        assert account is not None and account.admin and account.one_time
        assert await passwords.verify(account.password_hash, password)
        passwords.close()

    asyncio.run(ask())


def test_user_and_token(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each prints one thing and nothing else; refusals are a sentence on stderr."""
    assert said(capsys, "user", "alice")[:1] == (0,)
    assert said(capsys, "user", "alice") == (1, "", "The account alice exists already.\n")
    assert said(capsys, "user", "5ystem")[0] == 1
    status, out, _ = said(capsys, "token", "alice")
    claims = jwt.decode(out.strip(), options={"verify_signature": False})
    assert status == 0
    assert claims["sub"] == "alice"
    assert claims["exp"] - claims["iat"] <= 300
    assert said(capsys, "token", "bob") == (1, "", "There is no account bob.\n")

    async def disable() -> None:
        store = Store(Settings(state=ready).database, 5.0)
        await store.open()
        await store.set_disabled(UserName("alice"), True)
        await store.close()

    asyncio.run(disable())
    assert said(capsys, "token", "alice") == (1, "", "The account alice is disabled.\n")


def test_rotation(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new key signs; the old ones stay until they are revoked."""
    assert said(capsys, "keys", "rotate")[0] == 0
    folder = ready / "secrets" / "signing"
    assert len(KeyFolder(folder).jwks()["keys"]) == 2
    out = said(capsys, "keys", "rotate", "--revoke")[1]
    assert out.count("was deleted") == 2
    assert len(KeyFolder(folder).jwks()["keys"]) == 1


def test_wrong_settings(ready: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 78 and one sentence that names what is wrong."""
    (key,) = (ready / "secrets" / "signing").iterdir()
    key.chmod(0o644)
    for command in (["check"], ["keys", "init"]):
        status, out, err = said(capsys, *command)
        assert (status, out) == (78, "")
        assert "chmod 600" in err
    monkeypatch.setenv("PORTCULLIS_HOST", "x")
    assert said(capsys, "check")[0] == 78
    monkeypatch.delenv("PORTCULLIS_HOST")
    secret = ready / "hs256"
    monkeypatch.setenv("PORTCULLIS_HS256_SECRET_FILE", str(secret))
    assert said(capsys, "check")[0] == 78
    secret.touch(0o600)
    secret.write_bytes(b"s" * 32)
    assert said(capsys, "check") == (0, "", "")
    status, _, err = said(capsys, "keys", "rotate")
    assert status == 1 and "PORTCULLIS_HS256_SECRET_FILE" in err


def test_no_database_yet(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which command makes one."""
    status, _, err = said(capsys, "bootstrap")
    assert status == 1
    assert "migrate" in err


def test_no_keys_yet(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token needs a key."""
    main(["migrate"])
    main(["user", "alice"])
    capsys.readouterr()
    status, _, err = said(capsys, "token", "alice")
    assert status == 78
    assert "keys init" in err


def test_documents(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are JSON and need no settings."""
    assert json.loads(said(capsys, "openapi")[1])["openapi"].startswith("3.")
    assert json.loads(said(capsys, "asyncapi")[1])["asyncapi"] == "3.0.0"


def test_as_a_program(state: Path) -> None:
    """The exit status reaches the shell."""
    root = Path(__file__).parents[2]
    environment = {"PORTCULLIS_STATE": str(state), "PORTCULLIS_NOISE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "app", "check"], cwd=root, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 78
    assert b"PORTCULLIS_NOISE" in done.stderr
