"""The settings that belong to the stack and not to the server: what they are, and which names are known at all."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Knob(NamedTuple):
    """One setting; `default` is what stands in .env.example."""

    name: str
    default: str
    meaning: str


KNOBS = (
    Knob("PORTCULLIS_STATE", "", "The state folder, an absolute path; only in the environment, never in the file."),
    Knob(
        "PORTCULLIS_SHAPE", "", "embedded, containers or cluster; default: what the state folder holds, else what fits."
    ),
    Knob("PORTCULLIS_HTTPS_PORT", "8443", "The edge's port; the edge is never root."),
    Knob("PORTCULLIS_HTTP_PORT", "8080", "Redirects to HTTPS."),
    Knob(
        "PORTCULLIS_CERTIFICATE",
        "",
        "A certificate for the hosts (PEM, its chain after it); default: one by the stack's own authority.",
    ),
    Knob("PORTCULLIS_CERTIFICATE_KEY", "", "Its private key, a file with mode 0600."),
    Knob("PORTCULLIS_OUTER_PROXIES", "", "Addresses or networks whose X-Forwarded-For the edge believes."),
    Knob(
        "PORTCULLIS_PROMETHEUS_PORT",
        "9090",
        "Prometheus, on 127.0.0.1 only; embedded, it needs the port above, too, and is left out where one is taken.",
    ),
    Knob("PORTCULLIS_ALERTMANAGER_PORT", "9093", "Containers: Alertmanager, on 127.0.0.1 only."),
    Knob(
        "PORTCULLIS_GRAFANA_IMAGE",
        "",
        "Containers: a Grafana image that the engine has, with registry and tag or digest; default: no Grafana.",
    ),
    Knob("PORTCULLIS_GRAFANA_PORT", "3000", "Containers: Grafana, on 127.0.0.1 only."),
    Knob("PORTCULLIS_OPEN_FILES", "", "Containers: open files of a process; default: the host's hard limit."),
    Knob("PORTCULLIS_APP_CPUS", "", "Containers: processors of the app; default: all."),
    Knob("PORTCULLIS_EDGE_CPUS", "", "Containers: processors of the edge; default: all."),
    Knob("PORTCULLIS_POSTGRES_CPUS", "", "Containers: processors of PostgreSQL; default: all."),
    Knob("PORTCULLIS_APP_MEMORY", "1g", "Containers: memory of the app."),
    Knob("PORTCULLIS_EDGE_MEMORY", "1g", "Containers: memory of the edge."),
    Knob("PORTCULLIS_VALKEY_MEMORY", "512m", "Containers: memory of Valkey."),
    Knob("PORTCULLIS_VALKEY_MAXMEMORY", "384mb", "Containers: what Valkey may keep; well below its memory."),
    Knob("PORTCULLIS_POSTGRES_MEMORY", "1g", "Containers: memory of PostgreSQL."),
    Knob("PORTCULLIS_POSTGRES_SHARED_BUFFERS", "256MB", "Containers: PostgreSQL's cache; a quarter of its memory."),
    Knob("PORTCULLIS_BACKUP_RECIPIENT", "", "An age public key that backups are encrypted for."),
    Knob("PORTCULLIS_BACKUP_HOUR", "3", "Cluster: in which hour (UTC) of the night it is backed up, and drilled."),
    Knob("PORTCULLIS_CA_BUNDLE", "", "Containers: the CA bundle that builds trust; default: the system's."),
)
NAMES = frozenset(one.name for one in KNOBS)
DEFAULTS = {one.name: one.default for one in KNOBS}
ASSIGNED = re.compile(r"^#?([A-Z][A-Z0-9_]*)=", re.MULTILINE)


def documented(example: Path) -> set[str]:
    """Every name that .env.example documents: there is no other."""
    return set(ASSIGNED.findall(example.read_text()))


def unknown(names: Iterable[str], known: set[str]) -> list[str]:
    """A sentence for each name that is no setting (any more), with the one that it resembles."""
    found = []
    for name in sorted(set(names) - known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        found.append(
            f"{name} is not a setting of Portcullis{f': is {near[0]} meant?' if near else ''} See .env.example."
        )
    return found
