"""The app container's health: `python -m stack.ready` ends with 0 when the app says that it is ready."""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

from stack import unix_http


def main() -> int:
    """Ask the private socket once."""
    try:
        status, body = unix_http.get(Path(os.environ["PORTCULLIS_STATE"], "run", "private.sock"), "/ready", 4.0)
    except (OSError, http.client.HTTPException) as error:
        print(error)
        return 1
    print(body.strip())
    return 0 if status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
