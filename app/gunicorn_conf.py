"""gunicorn's configuration: `gunicorn -c python:app.gunicorn_conf 'app.main:create_app()'`.

The master takes a lock before it binds, so that a second one never steals the first one's sockets; its workers inherit
the lock and ask the kernel to die with it, so that a killed master leaves nothing behind that still answers.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from app import logs
from app.lock import StoreLock, StoreLocked
from app.settings import SettingsError, load

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

_EX_CONFIG = 78
_PR_SET_PDEATHSIG = 1

try:
    _settings = load()
except SettingsError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(_EX_CONFIG)

bind = [_settings.public_socket, _settings.private_socket]
workers = _settings.workers
worker_class = "app.worker.Worker"
umask = 0o007
graceful_timeout = int(_settings.graceful_seconds)
timeout = int(_settings.graceful_seconds) * 2 + 30
"""A worker may wait for the store's lock as long as its predecessor drains."""
keepalive = 75
backlog = 4096
logconfig_dict: dict[str, Any] = logs.config(_settings.log_level)
control_socket_disable = True
proc_name = "portcullis"

_state = _settings.state.resolve()
_lock = StoreLock(_state / "run" / "master.lock", _settings.graceful_seconds + 5)


def on_starting(server: Arbiter) -> None:
    """Before the sockets are bound."""
    try:
        _lock.acquire()
    except StoreLocked as locked:
        server.log.error("%s", locked)
        sys.exit(_EX_CONFIG)


def post_fork(server: Arbiter, _worker: object) -> None:
    """In the new worker: die with the master, and check afterwards whether it died before we asked."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server.pid:
        os._exit(1)
