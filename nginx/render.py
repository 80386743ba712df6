"""Write the edge's complete configuration into state/edge/.

Standard library only, so that the distribution's own python3 (3.11 or later) can run it:

    from nginx.render import EdgeValues, mtail_command, nginx_command, render
    cannot = render(EdgeValues(state=Path("/srv/portcullis/var"), user="portcullis-edge"))

`render` may be repeated: it replaces the configuration and keeps logs and counters. It needs
nginx on PATH and starts nothing. To start the edge, run `mtail_command(values)` first (it
counts from the end of the log on) and then `nginx_command(values)`, both in the foreground and
both as `values.user`. What `values.user` must reach: state/run/app.sock, state/tls/server.key
(0600, so its own), state/logs (it creates files there when logs are rotated).
"""

from __future__ import annotations

import math
import os
import re
import shutil
from pathlib import Path

from nginx.machine import Machine, inspect
from nginx.rotate import VALID_SECONDS
from nginx.values import EdgeValues, is_address

__all__ = ["EdgeValues", "check_command", "mtail_command", "nginx_command", "render"]

_SOURCE = Path(__file__).resolve().parent
_PLACEHOLDER = re.compile(r"\{\{([a-z0-9_]+)\}\}")
_NOT_A_SOCKET = 64
"""Descriptors a worker keeps for listeners, logs, its event queue and temporary files."""


def render(values: EdgeValues, machine: Machine | None = None) -> list[str]:
    """Write state/edge anew; return what this machine cannot do, one sentence each, for a status page.

    Raises NginxUnusableError when nginx cannot be asked for its version.
    """
    machine = machine or inspect()
    edge = values.state / "edge"
    names = _placeholders(values, machine)
    _folders(values)
    written = [_write(path, edge / path.relative_to(_SOURCE), names) for path in sorted(_templates())]
    _drop_stale(edge, set(written))
    _open_log(values)
    return _cannot(values, machine)


def nginx_command(values: EdgeValues) -> list[str]:
    """The command that runs nginx in the foreground. SIGHUP reloads, SIGUSR1 reopens the error log, SIGTERM ends."""
    edge = values.state / "edge"
    error_log = values.error_log or str(_error_log(values))
    return ["nginx", "-p", str(edge), "-e", error_log, "-c", str(edge / "nginx.conf"), "-g", "daemon off;"]


def check_command(values: EdgeValues) -> list[str]:
    """The command that only checks the rendered configuration (to be run as `values.user`)."""
    edge = values.state / "edge"
    return ["nginx", "-t", "-p", str(edge), "-e", "stderr", "-c", str(edge / "nginx.conf")]


def mtail_command(values: EdgeValues) -> list[str]:
    """The command that runs mtail in the foreground; /metrics on 127.0.0.1:metrics_port.

    Collecting stale logs is off: mtail would close a log that was quiet for a day and go on at
    its end, without the lines written between.
    """
    edge = values.state / "edge"
    return [
        "mtail",
        f"--progs={edge / 'mtail'}",
        f"--logs={edge / 'log' / 'access'}",
        "--address=127.0.0.1",
        f"--port={values.metrics_port}",
        "--logtostderr",
        "--stale_log_gc_interval=0",
        "--emit_prog_label=false",
        "--poll_interval=100ms",
    ]


def _templates() -> list[Path]:
    return [*_SOURCE.glob("*.conf"), *_SOURCE.glob("*/*.conf"), *_SOURCE.glob("mtail/*.mtail")]


def _placeholders(values: EdgeValues, machine: Machine) -> dict[str, str]:
    certificate_for_all = any(is_address(host) for host in values.hosts)
    sockets = _sockets(values, machine)
    return {
        "state": str(values.state),
        "workers": str(values.workers),
        "worker_connections": str(sockets * 2),
        # As many again as connections, where the machine has them: a buffered body or answer may need a file.
        "worker_descriptors": str(min(machine.descriptors, sockets * 4 + _NOT_A_SOCKET)),
        "worker_shutdown_seconds": str(values.worker_shutdown_seconds),
        "listen_tls_default": _listens(values, machine, values.https_port, _tls_options(machine, first=True)),
        "listen_tls": _listens(values, machine, values.https_port, _tls_options(machine, first=False)),
        "listen_http_default": _listens(values, machine, values.http_port, "default_server"),
        "listen_http": _listens(values, machine, values.http_port, ""),
        "http2": "http2-directive" if machine.http2_directive else "http2-listen",
        "groups": "tls-groups-hybrid" if machine.hybrid_group else "tls-groups-classic",
        "stranger": "stranger-by-host" if certificate_for_all else "stranger-by-name",
        "server_names": " ".join(_server_name(host) for host in values.hosts),
        "https_port": str(values.https_port),
        "error_log": values.error_log or str(_error_log(values)),
        "log_valid_seconds": str(VALID_SECONDS),
        "outer_proxies": _outer_proxies(values),
        "handshake_retry": str(math.ceil(60 / values.handshake_per_minute)),
        "api_retry": str(math.ceil(60 / values.api_per_minute)),
        **{name: str(getattr(values, name)) for name in _LIMITS},
    }


_LIMITS = (
    "handshake_per_minute",
    "handshake_burst",
    "address_connections",
    "api_per_minute",
    "api_burst",
    "header_seconds",
    "body_seconds",
    "idle_seconds",
)


def _sockets(values: EdgeValues, machine: Machine) -> int:
    """Proxied sockets a worker may hold: two descriptors each."""
    return max(1, min(values.connections, (machine.descriptors - _NOT_A_SOCKET) // 2))


def _tls_options(machine: Machine, *, first: bool) -> str:
    """Options of a TLS listener; `reuseport` belongs to the first server that names the address."""
    http2 = "" if machine.http2_directive else " http2"
    return f"ssl{http2} default_server reuseport" if first else f"ssl{http2}"


def _listens(values: EdgeValues, machine: Machine, port: int, options: str) -> str:
    lines = [f"listen {values.listen4}:{port} {options}".rstrip() + ";"]
    if machine.ipv6:
        only = " ipv6only=on" if "default_server" in options else ""
        lines.append(f"listen [{values.listen6}]:{port} {options}{only}".rstrip() + ";")
    return "\n    ".join(lines)


def _server_name(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _outer_proxies(values: EdgeValues) -> str:
    if not values.outer_proxies:
        return "# No outer proxy is configured: the peer's address is the client's."
    trusted = [f"set_real_ip_from {network};" for network in values.outer_proxies]
    return "\n".join([*trusted, "real_ip_header X-Forwarded-For;", "real_ip_recursive on;"])


def _folders(values: EdgeValues) -> None:
    edge = values.state / "edge"
    for folder in (edge, edge / "empty", edge / "temp", edge / "log", values.state / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    (edge / "temp").chmod(0o700)
    for folder in (edge / "temp", edge / "log"):
        _give(folder, values.user)


def _give(path: Path, user: str | None) -> None:
    if user is not None and os.geteuid() == 0:
        shutil.chown(path, user)


def _write(source: Path, target: Path, names: dict[str, str]) -> Path:
    """Render one file; a name without a value is a KeyError, so that no placeholder survives."""
    text = _PLACEHOLDER.sub(lambda match: names[match[1]], source.read_text(encoding="utf-8"))
    target.parent.mkdir(exist_ok=True)
    # Replaced in one step: a reload that happens meanwhile reads the old file or the new one.
    part = target.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.chmod(0o644)
    part.replace(target)
    return target


def _drop_stale(edge: Path, written: set[Path]) -> None:
    for path in [*edge.glob("*.conf"), *edge.glob("*/*.conf"), *edge.glob("mtail/*.mtail")]:
        if path not in written:
            path.unlink()


def _error_log(values: EdgeValues) -> Path:
    return values.state / "logs" / "edge-error.log"


def _open_log(values: EdgeValues) -> None:
    """Make the log and the name by which mtail follows it (see nginx.rotate for why it has its own).

    The log must be there before mtail starts: it reads a log that appears later from its end.
    """
    log, followed = values.state / "logs" / "edge-access.log", values.state / "edge" / "log" / "access"
    for path in (log, *([] if values.error_log else [_error_log(values)])):
        path.touch(mode=0o640)
        _give(path, values.user)
    if not followed.exists() or not followed.samefile(log):
        followed.unlink(missing_ok=True)
        os.link(log, followed)


def _cannot(values: EdgeValues, machine: Machine) -> list[str]:
    sockets = _sockets(values, machine)
    openssl = ".".join(map(str, machine.openssl))
    facts = (
        (machine.hybrid_group, f"OpenSSL {openssl} has no X25519MLKEM768 (3.5 has): no post-quantum key exchange."),
        (machine.ipv6, "No IPv6 on this machine: the edge listens on IPv4 only."),
        (
            sockets * values.workers >= values.connections,
            f"The descriptor limit of {machine.descriptors} allows {sockets * values.workers} sockets, "
            f"not {values.connections}.",
        ),
    )
    return [sentence for able, sentence in facts if not able]
