"""The app container's health: `python -m stack.ready` ends with 0 when this container's app says that it is ready.

`… once`: after it was ready once, when it lives. In a cluster the engine replaces what is ill, and without a store the
apps have to keep their clients, not to be replaced by others that have none either.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
from pathlib import Path

from stack import contained_app, unix_http

SECONDS = 4.0
ONCE = "was-ready"


def asked(bind: str, path: str) -> tuple[int, str]:
    """What the private listener says, which in a cluster is a port. Raises OSError or HTTPException."""
    if not bind:
        return unix_http.get(contained_app.own() / "run" / "private.sock", path, SECONDS)
    port = int(bind.rpartition(":")[2])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def main() -> int:
    """Ask."""
    mark = Path(os.environ.get("TMPDIR", "/tmp"), ONCE)  # noqa: S108 - of the container
    once = sys.argv[1:] == ["once"]
    path = "/live" if once and mark.exists() else "/ready"
    try:
        status, body = asked(os.environ.get("PORTCULLIS_PRIVATE_BIND", ""), path)
    except (OSError, http.client.HTTPException) as error:
        print(error)
        return 1
    print(body.strip())
    if status != http.HTTPStatus.OK:
        return 1
    if once:
        mark.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
