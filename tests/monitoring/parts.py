"""Every part that Prometheus scrapes, for real. Each context gives the address at which its metrics are."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import yaml

from stack import edge_config, facts
from stack.counter import Answers
from stack.place import CLONE, Place
from tests.contract.servers import Server as Valkey
from tests.monitoring import programs
from tests.postgres import Cluster
from tests.stack.running import free_port

ASKED = ("-redis.addr", "-redis.user", "-redis.password-file")
NEWER = "-exclude-latency-histogram-metrics"
"""Debian 12's exporter does not know it, nor those metrics."""


@contextlib.contextmanager
def counter(place: Place, lines: str) -> Iterator[str]:
    """The stack's counter beside an app whose state this is: mtail over a log that gets these lines, and some facts."""
    facts.state(place, "portcullis_backup_timestamp_seconds", time.time())
    facts.state(place, "portcullis_certificate_expiry_timestamp_seconds", 4_000_000_000)
    answers = type("Here", (Answers,), {"place": place})
    with mtail(place, lines), ThreadingHTTPServer(("127.0.0.1", 0), answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def mtail(place: Place, lines: str, source: Path = CLONE / "nginx" / "mtail") -> Iterator[None]:
    """mtail over a log that gets these lines, on the socket where the stack's is."""
    log, socket = place.logs / "edge-access.log", edge_config.mtail_socket(place)
    for folder in (place.logs, socket.parent):
        folder.mkdir(parents=True)
    log.touch()
    words = ["mtail", f"--progs={source}", f"--logs={log}", f"--unix_socket={socket}"]
    words += ["--logtostderr", "--emit_prog_label=false", "--poll_interval=100ms"]
    with programs.running(words, socket, place.state / "mtail.log"):
        with log.open("a") as file:
            file.write(lines)
        yield


@contextlib.contextmanager
def node(folder: Path) -> Iterator[str]:
    """The machine's exporter."""
    with _exporter(folder, "node-exporter") as address:
        yield address


@contextlib.contextmanager
def postgres(folder: Path, cluster: Cluster) -> Iterator[str]:
    """PostgreSQL's exporter."""
    source = f"user=postgres host={cluster.folder} port={cluster.port} dbname=postgres sslmode=disable"
    with _exporter(folder, "postgres-exporter", DATA_SOURCE_NAME=source) as address:
        yield address


@contextlib.contextmanager
def valkey(folder: Path, server: Valkey) -> Iterator[str]:
    """Valkey's exporter."""
    with _exporter(folder, "valkey-exporter", REDIS_ADDR=f"unix://{server.socket}") as address:
        yield address


@contextlib.contextmanager
def _exporter(folder: Path, name: str, **environment: str) -> Iterator[str]:
    """With the words that docker-compose.yml has for it, those about whom it asks apart."""
    address = f"127.0.0.1:{free_port()}"
    given = yaml.safe_load((CLONE / "docker-compose.yml").read_text())["services"][name]["command"]
    words = [word.replace("$$", "$") for word in given if not word.startswith((*ASKED, NEWER))]
    words.append(f"--web.listen-address={address}")
    with programs.running(words, f"http://{address}/metrics", folder / f"{name}.log", **environment):
        yield address


@contextlib.contextmanager
def alertmanager(folder: Path, config: Path) -> Iterator[str]:
    """With this configuration and no peers."""
    address = f"127.0.0.1:{free_port()}"
    words = ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder / 'alertmanager'}"]
    words += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with programs.running(words, f"http://{address}/-/ready", folder / "alertmanager.log"):
        yield address
