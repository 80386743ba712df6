"""Beside the embedded stack: what `stack.counter` answers in containers, on 127.0.0.1 for Prometheus.

`python -m stack.carrier STATE PORT`, as the edge's user, who may enter the folder of the app's sockets.
"""

from __future__ import annotations

import http.server
import sys
from pathlib import Path

from stack.counter import Answers
from stack.place import CLONE, Place


def main() -> None:
    """Until it is ended."""
    state, port = sys.argv[1:]
    Answers.place = Place(CLONE, Path(state))
    with http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Answers) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
