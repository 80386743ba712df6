"""gunicorn's configuration: `gunicorn -c python:app.gunicorn_conf 'app.main:create_app()'`.

Whatever would keep the server from serving stops the master before it binds, with one sentence and exit status 78. The
master holds two locks: the state folder's, so that a second one never steals the first one's sockets, and the store's,
so that none on another state folder writes to the same store. Its workers inherit both and ask the kernel to die with
it, so that a killed master leaves nothing behind that still answers.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app import inner, logs
from app.keys import open_keys
from app.lock import StoreLock, StoreLocked
from app.secret_files import check_secrets
from app.settings import Settings, SettingsError, load
from app.store import SchemaMismatch, Store, StoreDown
from app.store_database import kind_of

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

_EX_CONFIG = 78
_PR_SET_PDEATHSIG = 1


def _checked() -> Settings:
    """The settings, once the secrets that they name are there and safe. Ends the process with the sentence if not."""
    try:
        settings = load()
        open_keys(settings)
        check_secrets(settings)
        if settings.inner_tls is not None:
            inner.context(settings.inner_tls)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_EX_CONFIG)
    return settings


_settings = _checked()
_store_lock = kind_of(_settings.database).lock_path(_settings.database)
_wait = _settings.graceful_seconds + 5
"""A predecessor may drain for so long."""

bind = [_settings.public_socket, _settings.private_socket, *filter(None, [_settings.inner_bind])]
workers = _settings.workers
worker_class = "app.worker.Worker"
umask = 0o007
graceful_timeout = math.ceil(_settings.graceful_seconds)
timeout = graceful_timeout * 2 + 30
"""A worker may wait for the store's lock as long as its predecessor drains."""
keepalive = 75
backlog = 4096
logconfig_dict: dict[str, Any] = logs.config(_settings.log_level)
control_socket_disable = True
proc_name = "portcullis"

_locks = (
    StoreLock(_settings.state.resolve() / "run" / "master.lock", _wait),
    # Apart from that of the worker, which takes its own.
    StoreLock(_store_lock and _store_lock.with_suffix(".master.lock"), _wait),
)


_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Read when prometheus-client is imported, which only workers do: from then on what they count lies in files there."""
if workers > 1:
    os.environ.setdefault(_METRICS, str(_settings.state.resolve() / "run" / "metrics"))
else:
    os.environ.pop(_METRICS, None)


def on_starting(server: Arbiter) -> None:
    """Before the sockets are bound."""
    try:
        for lock in _locks:
            lock.acquire()
        _clear_metrics()
        asyncio.run(_open_store())
    except (StoreLocked, SchemaMismatch, StoreDown) as problem:
        _stop(server, str(problem))
    except OSError as error:
        _stop(server, f"{error.filename} cannot be locked: {error.strerror}.")
    for address in server.address:
        if _answers(address):
            _stop(server, f"{address} is in use: something else answers on it. Stop it, or set PORTCULLIS_BIND.")


async def _open_store() -> None:
    """Whether the store is there and of this release; closed again, since no connection outlives a fork."""
    store = Store(
        _settings.database,
        _settings.store_timeout_seconds,
        password_file=_settings.database_password_file,
        alone=_settings.alone,
    )
    await store.open(_wait)
    await store.close()


def _stop(server: Arbiter, sentence: str) -> None:
    server.log.error("%s", sentence)
    sys.exit(_EX_CONFIG)


def _answers(address: str | tuple[str, int]) -> bool:
    """Whether somebody listens there: gunicorn would take a Unix socket away from a server that still serves."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


def when_ready(server: Arbiter) -> None:
    """Keep the socket files for as long as the workers drain, so that handshakes can be told why they are refused.

    gunicorn removes them first, unless they are systemd's.
    """
    server.systemd = True


def _clear_metrics() -> None:
    """What an earlier master's workers have counted is over."""
    if _METRICS in os.environ:
        folder = Path(os.environ[_METRICS])
        folder.mkdir(mode=0o700, exist_ok=True)
        for file in folder.glob("*.db"):
            file.unlink()


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """A worker is gone, killed or not: its counters stay, its gauges go."""
    if workers > 1:
        from prometheus_client import multiprocess  # noqa: PLC0415 - not before the folder is named

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Arbiter) -> None:
    """The workers are gone, and the locks are still held: nobody else listens there yet."""
    for address in server.address:
        if isinstance(address, str):
            Path(address).unlink(missing_ok=True)
    gc.freeze()  # what is left is not walked once more before the end, which took 0.3 s


def post_fork(server: Arbiter, _worker: object) -> None:
    """In the new worker: die with the master, and check afterwards whether it died before we asked."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server.pid:
        os._exit(1)
