"""The app container's health: `python -m stack.ready` ends with 0 when this container's app says that it is ready."""

from __future__ import annotations

import contextlib
import http.client
import os
import sys

from stack import contained_app, unix_http

SECONDS = 4.0


def asked(bind: str) -> tuple[int, str]:
    """What the private listener says, which in a cluster is a port. Raises OSError or HTTPException."""
    if not bind:
        return unix_http.get(contained_app.own() / "run" / "private.sock", "/ready", SECONDS)
    port = int(bind.rpartition(":")[2])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def main() -> int:
    """Ask once."""
    try:
        status, body = asked(os.environ.get("PORTCULLIS_PRIVATE_BIND", ""))
    except (OSError, http.client.HTTPException) as error:
        print(error)
        return 1
    print(body.strip())
    return 0 if status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
