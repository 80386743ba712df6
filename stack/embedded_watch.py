"""Prometheus beside the embedded stack, where this machine has it: the distribution's, as one more supervised program.

It listens on 127.0.0.1 only, and so does the carrier, which has for it what is on Unix sockets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from stack import knobs, machine, packages, unix_user
from stack.place import Place, port

URL = "PORTCULLIS_PROMETHEUS_URL"
PORT = "PORTCULLIS_PROMETHEUS_PORT"
CARRIED = ("app", "edge", "stack")
KEPT = ("--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=512MB")
"""Whichever is reached first."""
PACE = {"scrape_interval": "15s", "scrape_timeout": "5s", "evaluation_interval": "15s"}
UNTOLD = "prometheus_notifications_dropped_total"
"""Nobody is told of alerts here but who looks at `/ops`, which is no fault of anybody."""
UNINSTALLED = (
    "Prometheus is not installed. Install the distribution's (docs/operating.md, Watching) and run make up again, "
    f"or decide to go without: a line {URL}= in settings.env"
)


def command(settings: Mapping[str, str]) -> Path | None:
    """Prometheus; None where there is none, and where the operator has named another one, or none with an empty URL."""
    return None if URL in settings else packages.command("prometheus")


def own_port(settings: Mapping[str, str]) -> int:
    """Where Prometheus listens. Raises Problem for what is no port."""
    return port(settings, PORT, int(knobs.DEFAULTS[PORT]))


def carrier_port(settings: Mapping[str, str]) -> int:
    """The port beside it."""
    own = own_port(settings)
    return own + 1 if own < 65535 else own - 1


def for_app(settings: Mapping[str, str]) -> dict[str, str]:
    """What the app is told of it."""
    return {URL: f"http://127.0.0.1:{own_port(settings)}"} if command(settings) else {}


def absent(place: Place, settings: Mapping[str, str]) -> str:
    """Why the stack goes without one, in sentences that say what to do; empty where it does not, and where the operator
    decided that. Raises Problem for what is no port.
    """
    ports = (own_port(settings), carrier_port(settings))
    if URL in settings:
        return ""
    if command(settings) is None:
        return UNINSTALLED
    return next((said for one in ports if (said := _in_the_way(place, one))), "")


def _in_the_way(place: Place, number: int) -> str | None:
    if number in (place.https_port, place.http_port):
        return f"Port {number} is the edge's. Choose another one: make up {PORT}={machine.another(number)}"
    return machine.port_free(place, PORT, number)


def without(settings: Mapping[str, str]) -> dict[str, str]:
    """The same settings for a stack that goes without."""
    return {**settings, URL: ""}


def words(place: Place, settings: Mapping[str, str]) -> tuple[str, ...]:
    """The command that runs it; none where there is none."""
    found = command(settings)
    if found is None:
        return ()
    config, data = f"--config.file={place.prometheus / 'prometheus.yml'}", f"--storage.tsdb.path={data_of(place)}"
    return (str(found), config, data, *KEPT, f"--web.listen-address=127.0.0.1:{own_port(settings)}", "--log.level=warn")


def data_of(place: Place) -> Path:
    """Its own folder, in which nobody else writes."""
    return place.prometheus / "data"


def write(place: Place, settings: Mapping[str, str]) -> None:
    """Its folders and its configuration, where it runs."""
    if command(settings):
        unix_user.folder(place.prometheus, unix_user.myself(), 0o755)
        unix_user.folder(data_of(place), unix_user.for_watch(), 0o700)
        path = place.prometheus / "prometheus.yml"
        path.write_text(config(place, settings))
        path.chmod(0o644)


def config(place: Place, settings: Mapping[str, str]) -> str:
    """What is scraped, and the rules over it. JSON is YAML, too."""
    jobs = [_job(name, carrier_port(settings), metrics_path=f"/{name}") for name in CARRIED]
    dropped = {"source_labels": ["__name__"], "regex": UNTOLD, "action": "drop"}
    jobs.append(_job("prometheus", own_port(settings), metric_relabel_configs=[dropped]))
    rules = [str(place.code / "monitoring" / "rules" / "*.yml")]
    return json.dumps({"global": PACE, "rule_files": rules, "scrape_configs": jobs}, indent=1) + "\n"


def _job(name: str, number: int, **more: object) -> dict[str, object]:
    return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{number}"]}], **more}
