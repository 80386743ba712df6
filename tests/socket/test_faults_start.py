"""What has to stop a start: one sentence, status 78, and nothing half-started."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.socket.server import Server
from tests.socket.test_faults_kill import rival


def keys_missing(server: Server) -> str:
    shutil.rmtree(server.state / "secrets" / "signing")
    return "secrets/signing"


def keys_readable(server: Server) -> str:
    (key,) = (server.state / "secrets" / "signing").glob("*.pem")
    key.chmod(0o644)
    return f"{key} can be read by others: run chmod 600 on it."


def secret_missing(server: Server) -> str:
    server.settings["hs256_secret_file"] = str(server.state / "secrets" / "nothing")
    return "secrets/nothing cannot be read: No such file or directory."


def secret_readable(server: Server) -> str:
    file = server.state / "secrets" / "hs256"
    file.write_bytes(b"x" * 32)
    file.chmod(0o640)
    server.settings["hs256_secret_file"] = str(file)
    return f"{file} can be read by others: run chmod 600 on it."


def setting_unknown(server: Server) -> str:
    server.settings["nonsense"] = "1"
    return "PORTCULLIS_NONSENSE is not a setting of Portcullis."


def setting_unsafe(server: Server) -> str:
    server.settings["origins"] = "*"
    return "PORTCULLIS_ORIGINS: '*' is not an exact origin"


def folder_missing(server: Server) -> str:
    shutil.rmtree(server.state / "data")
    return "data/chat.db.master.lock cannot be locked: No such file or directory."


def store_missing(server: Server) -> str:
    (server.state / "data" / "chat.db").unlink()
    return "run `python -m app migrate`"


FAULTS = (
    keys_missing,
    keys_readable,
    secret_missing,
    secret_readable,
    setting_unknown,
    setting_unsafe,
    folder_missing,
    store_missing,
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_stops_the_start_with_its_sentence(fault: Callable[[Server], str], tmp_path: Path) -> None:
    """It names the file or the setting, the status is 78, no socket is bound and no process stays."""
    server = Server(tmp_path, {})
    server.prepare()
    sentence = fault(server)
    process = rival(server, drain_seconds=0.1)
    try:
        said = process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 78, said
    assert sentence in said
    assert "Traceback" not in said
    assert list((server.state / "run").glob("*.sock")) == []
