"""What gunicorn is told, asked in a process of its own, since the module reads the settings when it is imported."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from app.keys import create_key
from tests.socket.server import ROOT

SHOW = """
import json
from app import gunicorn_conf as conf
names = ("bind", "workers", "umask", "graceful_timeout", "timeout", "worker_class", "control_socket_disable")
print(json.dumps({name: getattr(conf, name) for name in names}))
"""


def run(state: Path, code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Python with the state folder and these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS_")}
    ours = {f"PORTCULLIS_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=kept | ours | {"PORTCULLIS_STATE": str(state)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_binds_unix_sockets_that_only_the_group_may_use(tmp_path: Path) -> None:
    """Both in the state folder; a graceful time below a second is not none."""
    create_key(tmp_path / "secrets" / "signing")
    done = run(tmp_path, SHOW, drain_seconds="0.2", graceful_seconds="0.5")
    told = json.loads(done.stdout)
    assert told["bind"] == [f"unix:{tmp_path}/run/app.sock", f"unix:{tmp_path}/run/private.sock"]
    assert (told["workers"], told["umask"], told["control_socket_disable"]) == (1, 0o007, True)
    assert told["graceful_timeout"] == 1
    assert told["timeout"] > 2 * told["graceful_timeout"]


def test_an_unsafe_secret_or_setting_ends_it_with_one_sentence(tmp_path: Path) -> None:
    """Status 78 (EX_CONFIG) before anything is bound."""
    create_key(tmp_path / "secrets" / "signing")
    for settings in ({"nonsense": "1"}, {"hs256_secret_file": str(tmp_path / "none")}, {"drain_seconds": "60"}):
        done = run(tmp_path, SHOW, **settings)
        assert done.returncode == 78
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_it_knows_whether_somebody_answers(tmp_path: Path) -> None:
    """On Unix sockets, left-over files included, and on IPv4."""
    create_key(tmp_path / "secrets" / "signing")
    with socket.socket(socket.AF_UNIX) as live, socket.socket(socket.AF_UNIX) as dead, socket.socket() as port:
        live.bind(str(tmp_path / "live"))
        dead.bind(str(tmp_path / "dead"))
        port.bind(("127.0.0.1", 0))
        live.listen()
        port.listen()
        asked = [str(tmp_path / "live"), str(tmp_path / "dead"), str(tmp_path / "none"), port.getsockname()]
        code = f"from app.gunicorn_conf import _answers; print([_answers(address) for address in {asked!r}])"
        assert run(tmp_path, code).stdout == "[True, False, False, True]\n"
