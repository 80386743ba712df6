"""Inside a container on the network of the metrics: prints those of every app and every edge of a cluster as one text.

Each series says by `instance` whom it is from, as in Prometheus.
"""

from __future__ import annotations

import re
import socket
import sys
import urllib.request
from collections.abc import Iterator

from stack import exposition

TARGETS = (("tasks.app", 9600, "/metrics"), ("tasks.counter", 9100, "/edge"), ("tasks.counter", 9100, "/stack"))
SECONDS = 4.0
_SERIES = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


def addresses(name: str) -> list[str]:
    """Of all tasks of a service, now."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({str(one[4][0]) for one in found})


def labelled(text: str, instance: str) -> str:
    """The exposition, each of its series with one more label."""

    def line(one: str) -> str:
        found = None if one.startswith("#") else _SERIES.fullmatch(one)
        if found is None:
            return one
        labels = ",".join(part for part in (found["labels"], f'instance="{instance}"') if part)
        return f"{found['name']}{{{labels}}} {found['value']}"

    return "".join(line(one) + "\n" for one in text.splitlines())


def texts() -> Iterator[str]:
    """One exposition for each whom there is. Raises OSError for one that does not answer."""
    for name, port, path in TARGETS:
        for address in addresses(name):
            with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=SECONDS) as answer:
                yield labelled(answer.read().decode(), f"{address}:{port}")


def main() -> int:
    """Print them all."""
    try:
        sys.stdout.write(exposition.merge(list(texts())))
    except OSError as error:
        print(f"The metrics cannot be had: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
