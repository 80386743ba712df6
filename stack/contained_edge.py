"""Inside a container: renders the edge's configuration into the volume that it shares with nginx.

The image has no nginx of its own; what nginx can do was written down when nginx's image was built.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import sys
from pathlib import Path
from typing import Any

from nginx.machine import Machine, has_ipv6, parse_versions
from nginx.render import render
from stack import edge_config, facts, place
from stack.place import Place
from stack.problem import Problem

STATE = Path("/var/lib/portcullis")
NGINX = Path("/etc/portcullis-nginx")
GIVEN = Path("/run/tls")
MADE = "made"
"""A digest of configuration and certificate, written when both are whole: by it a cluster's edge knows of new ones."""


def here() -> Place:
    """The state folder as every container of the edge has it."""
    return place.choose({**os.environ, "PORTCULLIS_STATE": str(STATE)})


def machine() -> Machine:
    """What the edge's nginx, and the network it will be on, can do."""
    nginx, openssl = parse_versions(NGINX.read_text())
    return Machine(nginx, openssl, has_ipv6(), resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def take_certificate() -> None:
    """In a cluster a job is given it, and the edge finds it in the volume, so that a new one takes no new edge."""
    folder = STATE / "tls"
    for name, mode in (("server.key", 0o400), ("server.pem", 0o444)):
        if (GIVEN / name).exists():
            folder.mkdir(mode=0o750, exist_ok=True)
            draft = folder / f"{name}.draft"
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            draft.write_bytes((GIVEN / name).read_bytes())
            draft.chmod(mode)
            draft.replace(folder / name)


def finish() -> None:
    """Say what there is by now."""
    found = hashlib.sha256()
    edge = STATE / "edge"
    files = [
        path for path in edge.rglob("*") if path.is_file() and path.relative_to(edge).parts[0] not in ("temp", MADE)
    ]
    for path in (*sorted(files), STATE / "tls" / "server.pem"):
        found.update(path.read_bytes() if path.exists() else b"")
    draft = STATE / f"{MADE}.draft"
    draft.write_text(found.hexdigest() + "\n")
    draft.replace(STATE / "edge" / MADE)


def values() -> dict[str, Any]:
    """The edge's, whose complaints the engine keeps and rotates."""
    return edge_config.values(here(), os.environ) | {"error_log": "stderr"}


def main() -> int:
    """Render; prints what the machine cannot do, one sentence a line."""
    os.umask(0o027)
    with (STATE / ".lock").open("w") as lock:
        # Swarm has been seen to start a host's one task twice.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return write()


def write() -> int:
    """All of it, by nobody else meanwhile; the status to end with."""
    try:
        for sentence in render(edge_config.checked(values()), machine()):
            print(sentence)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 78
    take_certificate()
    for name in facts.FACTS:
        if name in os.environ:
            facts.state(here(), name, float(os.environ[name]))
    (STATE / "edge" / "run").mkdir(exist_ok=True)
    finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
