"""The edge's configuration: which values nginx/ renders it from, and rendering it as the user who runs it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nginx.render import EdgeValues, check_command, mtail_command, nginx_command, render
from stack import packages, settings_file, unix_user
from stack.place import Place
from stack.problem import Problem

LOOSER = 4
"""The edge's backstops are this much looser than the app's limits, so that the app's verdict is the one seen."""


def values(place: Place, settings: Mapping[str, str]) -> dict[str, Any]:
    """What EdgeValues is made of, as JSON can carry it."""

    def number(name: str, default: float) -> int:
        return math.ceil(settings_file.seconds(settings, f"PORTCULLIS_{name}", default))

    return {
        "state": str(place.state),
        "hosts": [host.strip("[]") for host in settings_file.hosts(settings)],
        "https_port": place.https_port,
        "http_port": place.http_port,
        "outer_proxies": settings_file.words(settings.get("PORTCULLIS_OUTER_PROXIES", "")),
        "connections": number("CONNECTIONS_PER_NODE", 10_000),
        "handshake_per_minute": LOOSER * number("HANDSHAKES_PER_ADDRESS_PER_MINUTE", 30),
        "handshake_burst": LOOSER * number("HANDSHAKES_PER_ADDRESS_BURST", 10),
        "address_connections": LOOSER * number("CONNECTIONS_PER_ADDRESS", 20),
        "drain_seconds": number("DRAIN_SECONDS", settings_file.DRAIN_SECONDS),
    }


def checked(found: Mapping[str, Any]) -> EdgeValues:
    """The values as nginx/ wants them; raises Problem with its sentence for one that is unsafe."""
    lists = {name: tuple(found[name]) for name in ("hosts", "outer_proxies")}
    try:
        return EdgeValues(**{**found, **lists, "state": Path(found["state"])})
    except ValueError as error:
        raise Problem(str(error)) from None


def write(place: Place, settings: Mapping[str, str]) -> list[str]:
    """Render and let nginx check it, both as the edge's own user; returns what this machine cannot do.

    Root never writes into folders of the edge's, where a link could wait for it.
    """
    found = values(place, settings)
    wanted = checked(found)
    said = as_edge(place, [str(place.python), "-m", "stack.edge_config"], json.dumps(found))
    as_edge(place, check_command(wanted), "")
    return [str(line) for line in json.loads(said)]


def as_edge(place: Place, words: list[str], given: str) -> str:
    """Run `words` as the edge's user and return what they print; raises Problem with what they complain of."""
    owner, root = unix_user.for_edge(), os.geteuid() == 0
    done = subprocess.run(
        words,
        input=given,
        env={"PATH": packages.SEARCHED, "PYTHONPATH": str(place.code), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=place.edge,
        user=owner.uid if root else None,
        group=owner.gid if root else None,
        extra_groups=list(owner.groups) if root else None,
        umask=0o027,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Problem(f"The edge could not be configured:\n{done.stderr.strip()}")
    return done.stdout


def nginx(place: Place, settings: Mapping[str, str]) -> list[str]:
    """The command that runs nginx in the foreground."""
    words = nginx_command(checked(values(place, settings)))
    return [str(packages.command(words[0]) or words[0]), *words[1:]]


def mtail(place: Place, settings: Mapping[str, str]) -> list[str]:
    """The command that runs mtail in the foreground.

    It answers on a Unix socket and not on a port: nobody else of this machine may ask it, and stacks do not collide.
    """
    words = mtail_command(checked(values(place, settings)))
    kept = [word for word in words[1:] if not word.startswith(("--address=", "--port="))]
    return [str(packages.command(words[0]) or words[0]), *kept, f"--unix_socket={mtail_socket(place)}"]


def mtail_socket(place: Place) -> Path:
    """Where mtail answers GET /metrics."""
    return place.edge / "run" / "mtail.sock"


def digest(place: Place) -> str:
    """One hash over the rendered files."""
    found = hashlib.sha256()
    for path in sorted(path for kind in ("*.conf", "*.mtail") for path in place.edge.rglob(kind)):
        found.update(f"{path}\0".encode() + path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    os.umask(0o027)
    print(json.dumps(render(checked(json.load(sys.stdin)))))
