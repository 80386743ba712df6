"""Inside the app's container: starts the server in a folder of its own, and says which server is reached.

Two containers of the app share the volume with the sockets while one takes over from the other. What the edge and the
counter connect to are links; `python -m stack.contained_app live` turns them to this container's own sockets.
"""

from __future__ import annotations

import contextlib
import http
import http.client
import os
import shutil
import socket
import sys
from pathlib import Path

from stack import unix_http

STATE = Path("/var/lib/portcullis")
RUN = STATE / "run"
SOCKETS = ("app.sock", "private.sock")
METRICS = "/tmp/metrics"  # noqa: S108 - the container's own: files that are mapped must not lie on a disk that may fill up
SERVE = ("-m", "gunicorn", "-c", "python:app.gunicorn_conf", "app.main:create_app()")


def own() -> Path:
    """This container's state: the same after a restart, another one in another container."""
    return RUN / socket.gethostname()


def live() -> str:
    """The container that is reached, by its host name; empty when there is none."""
    try:
        return (RUN / SOCKETS[0]).readlink().parts[0]
    except OSError:
        return ""


def answers(container: str) -> bool:
    """Whether the server of that container does."""
    path = RUN / container / "run" / "private.sock"
    with contextlib.suppress(OSError, http.client.HTTPException):
        return unix_http.get(path, "/live", 2.0)[0] == http.HTTPStatus.OK
    return False


def go_live() -> None:
    """From now on this container is reached; those that are gone leave nothing behind."""
    for name in SOCKETS:
        draft = RUN / f"{name}.draft"
        draft.unlink(missing_ok=True)
        draft.symlink_to(Path(own().name, "run", name))
        draft.replace(RUN / name)
    for folder in RUN.iterdir():
        if folder.is_dir() and not folder.is_symlink() and folder != own() and not answers(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def serve() -> None:
    """Become the server; reached at once where nobody else is."""
    (own() / "run").mkdir(mode=0o750, parents=True, exist_ok=True)
    if not answers(live()):
        go_live()
    os.environ["PORTCULLIS_STATE"] = str(own())
    os.environ.setdefault("PORTCULLIS_SIGNING_KEYS", str(STATE / "secrets" / "signing"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = METRICS
    os.execv(sys.executable, [sys.executable, *SERVE])  # noqa: S606


def main() -> int:
    """`live` makes this container the one that is reached, `which` prints the one that is."""
    match sys.argv[1:]:
        case ["live"]:
            go_live()
        case ["which"]:
            print(live())
        case _:
            serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
