"""The programs of the embedded stack, and the supervisor's configuration made from them."""

from __future__ import annotations

import os
import resource
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack import edge_config, embedded_watch, settings_file, unix_user
from stack.place import Place
from stack.unix_user import UnixUser

EDGE_STOP_SECONDS = 15
"""nginx ends idle connections at once and open ones by its worker_shutdown_timeout; by then the app has drained."""
WATCH_STOP_SECONDS = 10
MOST_FILES = 1 << 20
CONFIG = """\
[supervisord]
logfile={logs}/supervisor.log
logfile_maxbytes=10MB
logfile_backups=3
pidfile={supervision}/supervisord.pid
directory={supervision}
identifier=portcullis
minfds={files}
umask=022
{user}
[unix_http_server]
file={supervision}/control.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
# Exits before startsecs are retried with a pause that grows by a second each time, later ones at once.
PROGRAM = """
[program:{name}]
command={command}
directory={directory}
{user}environment=HOME="{directory}",USER="{owner}",LOGNAME="{owner}"
umask={umask}
priority={priority}
autorestart=true
startsecs=1
startretries=1000
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes={log_bytes}
stdout_logfile_backups=4
"""


@dataclass(frozen=True)
class Program:
    """One supervised program. Lower priorities start first and stop last."""

    name: str
    words: tuple[str, ...]
    directory: Path
    owner: UnixUser
    priority: int
    stop_signal: str
    stop_seconds: int
    umask: str = "027"
    log_bytes: str = "5MB"


def programs(place: Place, settings: Mapping[str, str]) -> list[Program]:
    """The app starts last and stops first: while it drains, the edge still carries its words to the clients."""
    graceful = settings_file.seconds(settings, "PORTCULLIS_GRACEFUL_SECONDS", settings_file.GRACEFUL_SECONDS)
    app, edge, python = unix_user.for_app(), unix_user.for_edge(), str(place.python)
    gunicorn = (python, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "app.main:create_app()")
    takeover = (python, "-m", "stack.takeover")
    nginx = (*takeover, "edge", str(place.state), *edge_config.nginx(place, settings))
    mtail = (*takeover, "mtail", str(place.state), *edge_config.mtail(place, settings))
    return [
        Program("mtail", mtail, place.edge, edge, 10, "TERM", 5),
        Program("rotation", (python, "-m", "stack.rotation", str(place.state)), place.edge, edge, 20, "TERM", 5),
        Program("edge", nginx, place.edge, edge, 30, "QUIT", EDGE_STOP_SECONDS),
        # The group may use the app's socket, nobody else: gunicorn would make it world-writable.
        Program("app", gunicorn, place.run, app, 40, "TERM", round(graceful) + 10, "007", "50MB"),
        *watchers(place, settings),
    ]


def watchers(place: Place, settings: Mapping[str, str]) -> list[Program]:
    """Prometheus and who carries metrics to it, where there is one."""
    prometheus = embedded_watch.words(place, settings)
    if not prometheus:
        return []
    carrier = (str(place.python), "-m", "stack.carrier", str(place.state), str(embedded_watch.carrier_port(settings)))
    data = embedded_watch.data_of(place)
    return [
        Program("carrier", carrier, place.edge, unix_user.for_edge(), 4, "TERM", 5),
        Program("prometheus", prometheus, data, unix_user.for_watch(), 5, "TERM", WATCH_STOP_SECONDS),
    ]


def stop_seconds(settings: Mapping[str, str]) -> float:
    """The longest time in which the supervisor stops everything, one program after the other."""
    graceful = settings_file.seconds(settings, "PORTCULLIS_GRACEFUL_SECONDS", settings_file.GRACEFUL_SECONDS)
    return graceful + 10 + EDGE_STOP_SECONDS + 15 + WATCH_STOP_SECONDS + 5


def render(place: Place, settings: Mapping[str, str]) -> str:
    """The supervisor's configuration file."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    root = os.geteuid() == 0
    head = CONFIG.format(
        logs=_text(place.program_logs),
        supervision=_text(place.supervision),
        files=files,
        user="user=root\n" if root else "",
    )
    return head + "".join(_section(place, program, root) for program in programs(place, settings))


def _section(place: Place, program: Program, root: bool) -> str:
    return PROGRAM.format(
        name=program.name,
        command=_text(shlex.join(program.words)),
        directory=_text(program.directory),
        user=f"user={program.owner.name}\n" if root else "",
        owner=program.owner.name,
        umask=program.umask,
        priority=program.priority,
        stop_signal=program.stop_signal,
        stop_seconds=program.stop_seconds,
        log=_text(place.program_logs / f"{program.name}.log"),
        log_bytes=program.log_bytes,
    )


def _text(value: object) -> str:
    """supervisord expands %(NAME)s, so a percent sign is doubled."""
    return str(value).replace("%", "%%")
