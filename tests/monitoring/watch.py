"""A real Prometheus with the committed configuration: only addresses and paces are the test's."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from monitoring.alerts import FOLDER
from tests.monitoring import programs
from tests.stack.running import free_port

TARGETS = {
    "counter:9100": "counter",
    "alertmanager:9093": "alertmanager",
    "localhost:9090": "prometheus",
    "node-exporter:9100": "node",
    "postgres-exporter:9187": "postgres",
    "valkey-exporter:9121": "valkey",
}
"""Whose address stands where in the committed configuration."""
EXPORTERS = ("node", "postgres", "valkey")


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    address: str

    def api(self, path: str, **query: str) -> Any:
        """The data of an answer of its HTTP API; raises OSError with whatever it says for another status."""
        return json.loads(programs.get(f"http://{self.address}/api/v1/{path}?{urlencode(query)}"))["data"]

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        found: list[dict[str, Any]] = self.api("query", query=query)["result"]
        return found

    def names(self, job: str) -> set[str]:
        """Every metric that this job has."""
        return set(self.api("label/__name__/values", **{"match[]": f'{{job="{job}"}}'}))


def configure(folder: Path, addresses: dict[str, str], own: str) -> Path:
    """The committed configuration and rules, in a folder, with these addresses; returns the path of the former.

    A job whose part has no address is left out.
    """
    shutil.copytree(FOLDER / "rules", folder / "rules")
    text = (FOLDER / "prometheus.yml").read_text()
    for committed, name in TARGETS.items():
        assert committed in text
        text = text.replace(committed, {**addresses, "prometheus": own}.get(name, ""))
    config = yaml.safe_load(text)
    jobs = config["scrape_configs"]
    config["scrape_configs"] = [job for job in jobs if job["static_configs"][0]["targets"] != [None]]
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config))
    return path


@contextlib.contextmanager
def prometheus(folder: Path, addresses: dict[str, str], *, hasty: bool = False) -> Iterator[Prometheus]:
    """Scraping these parts every second; a hasty one fires each alert a second after its condition holds."""
    address = f"127.0.0.1:{free_port()}"
    config = configure(folder, addresses, address)
    if hasty:
        for path in (folder / "rules").glob("*.yml"):
            path.write_text(re.sub(r"\bfor: \w+", "for: 1s", path.read_text()))
    words = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    words += [f"--web.listen-address={address}", "--log.level=warn"]
    with programs.running(words, f"http://{address}/-/ready", folder / "prometheus.log"):
        yield Prometheus(address)
