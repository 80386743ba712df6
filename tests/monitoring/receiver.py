"""Somebody who is on call: a webhook that keeps what Alertmanager hands over."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.patience import PATIENCE, until


class Receiver:
    """What was handed over so far, by the path of the webhook."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.told: list[tuple[str, dict[str, Any]]] = []

    def config(self) -> str:
        """The operator's file for it."""
        hooks = [
            {"name": name, "webhook_configs": [{"url": f"http://{self.address}/{name}"}]} for name in ("page", "ticket")
        ]
        return f"receivers: {json.dumps(hooks)}\n"

    def wait(self, path: str, name: str, status: str) -> dict[str, Any]:
        """The alert of this name, once the webhook was told of it with this status."""
        return until(lambda: self._find(path, name, status), f"{path} is told that {name} is {status}", 3 * PATIENCE)

    def names(self) -> set[str]:
        """Every alert that anybody was told of."""
        return {alert["labels"]["alertname"] for _, alert in self.told}

    def _find(self, path: str, name: str, status: str) -> dict[str, Any]:
        for where, alert in self.told:
            if (where, alert["labels"]["alertname"], alert["status"]) == (path, name, status):
                return alert
        return {}


@contextlib.contextmanager
def listening() -> Iterator[Receiver]:
    """One that listens on a port of its own."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            one.told += [(self.path.strip("/"), alert) for alert in body["alerts"]]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        one = Receiver(f"127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield one
        server.shutdown()
