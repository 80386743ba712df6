"""stack/ready.py: what a container's health asks the app."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import ready


class App(http.server.BaseHTTPRequestHandler):
    """One whose private listener answers what it is told to."""

    well: set[str]

    def do_GET(self) -> None:
        """200 to those that are well, 503 to others."""
        self.send_response(200 if self.path in self.well else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[App]]:
    """It is neither alive nor ready yet."""
    App.well = set()
    with http.server.HTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PORTCULLIS_PRIVATE_BIND", f"0.0.0.0:{server.server_port}")
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        yield App
        server.shutdown()


def _healthy(monkeypatch: pytest.MonkeyPatch, *words: str) -> bool:
    monkeypatch.setattr("sys.argv", ["stack.ready", *words])
    return ready.main() == 0


def test_on_one_host_it_is_ready_or_ill(app: type[App], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was before."""
    app.well = {"/live", "/ready"}
    assert _healthy(monkeypatch)
    app.well = {"/live"}
    assert not _healthy(monkeypatch)


def test_in_a_cluster_it_has_to_be_ready_once(app: type[App], monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then it is a release that does not get well; afterwards only one that does not live is replaced."""
    app.well = {"/live"}
    assert not _healthy(monkeypatch, "once")
    app.well = {"/live", "/ready"}
    assert _healthy(monkeypatch, "once")
    app.well = {"/live"}
    assert _healthy(monkeypatch, "once")
    app.well = set()
    assert not _healthy(monkeypatch, "once")
