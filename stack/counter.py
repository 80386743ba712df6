"""Inside a container beside the edge: counts and rotates its log, and answers for the metrics of app, edge and host.

The first two have theirs on Unix sockets, because the edge is on no network of containers and the app's are private;
what the host knows is in files.
`python3 -m stack.counter check` is its own health, `… metrics` prints all.
"""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from stack import contained_edge, edge_config, edge_counts, exposition, facts, health, rotation, unix_http
from stack.place import Place

PORT = 9100


def mtail(place: Place) -> subprocess.Popen[bytes]:
    """Start mtail, whose socket may be left from before."""
    edge_config.mtail_socket(place).unlink(missing_ok=True)
    return subprocess.Popen(edge_config.mtail(place, os.environ))


class Answers(http.server.BaseHTTPRequestHandler):
    """`/app`, `/edge` and `/stack` to a scraper, `/metrics` with all in one to a person."""

    place: Place
    timeout = 10

    def do_GET(self) -> None:
        """Answer 503 when whoever is asked for does not answer."""
        wanted = {"/app": ["app"], "/edge": ["edge"], "/stack": ["stack"], "/metrics": ["app", "edge", "stack"]}
        if self.path not in wanted:
            self.answer(404, "not found\n")
            return
        try:
            self.answer(200, exposition.merge([self.asked(part) for part in wanted[self.path]]))
        except (OSError, http.client.HTTPException) as error:
            self.answer(503, f"{error}\n")

    def asked(self, part: str) -> str:
        """The metrics of one part; raises OSError or HTTPException."""
        if part == "stack":
            return facts.exposed(self.place)
        if part == "edge":
            return edge_counts.completed(exposed(edge_config.mtail_socket(self.place)))
        return exposed(health.private_socket(self.place))

    def answer(self, status: int, text: str) -> None:
        """One whole answer."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line each."""


def exposed(path: Path) -> str:
    """The metrics behind one socket; raises OSError or HTTPException."""
    status, text = unix_http.get(path, "/metrics")
    if status != http.HTTPStatus.OK:
        raise http.client.HTTPException(f"{path.name} answers {status}")
    return text


def asked(path: str) -> str:
    """What the counter of this container answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=4) as answer:
        return str(answer.read().decode())


def show() -> int:
    """Print all metrics."""
    try:
        sys.stdout.write(asked("/metrics"))
    except OSError as error:
        print(f"The metrics cannot be had: {error}.", file=sys.stderr)
        return 1
    return 0


def check() -> int:
    """Whether the edge's log is counted."""
    broken = edge_counts.broken(asked("/edge"))
    print("\n".join(broken) or "well")
    return 1 if broken else 0


def main() -> int:
    """Until mtail ends: the container is then started anew."""
    place = contained_edge.here()
    Answers.place = place
    counting = mtail(place)
    signal.signal(signal.SIGTERM, lambda *_: counting.terminate())
    server = http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Answers)  # noqa: S104 - a network of containers
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=rotate, args=(place,), daemon=True).start()
    return counting.wait()


def rotate(place: Place) -> None:
    """Look every few seconds whether the log is due."""
    while True:
        rotation.turn(place)
        time.sleep(rotation.PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit({"check": check, "metrics": show}.get(" ".join(sys.argv[1:]), main)())
