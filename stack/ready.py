"""The app container's health: `python -m stack.ready` ends with 0 when this container's app says that it is ready."""

from __future__ import annotations

import http.client
import sys

from stack import contained_app, unix_http


def main() -> int:
    """Ask the private socket once."""
    try:
        status, body = unix_http.get(contained_app.own() / "run" / "private.sock", "/ready", 4.0)
    except (OSError, http.client.HTTPException) as error:
        print(error)
        return 1
    print(body.strip())
    return 0 if status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
