"""An OpenTelemetry collector for tests: plain OTLP over HTTP, decoded by the protocol's own package."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

Value = str | int | bool


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent; one that hangs takes requests and answers none until it is let go."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, hangs: bool = False) -> None:
        super().__init__((host, port), _Handler)
        self.bodies: list[bytes] = []
        self.asked = threading.Event()
        self.let_go = threading.Event()
        if not hangs:
            self.let_go.set()

    @property
    def url(self) -> str:
        """What the setting names."""
        return f"http://{self.server_address[0]!s}:{self.server_port}"

    def requests(self) -> list[ExportTraceServiceRequest]:
        """Everything that arrived, decoded."""
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    def spans(self, name: str) -> list[Span]:
        """The spans of a name."""
        scopes = [scope for one in self.requests() for resource in one.resource_spans for scope in resource.scope_spans]
        return [span for scope in scopes for span in scope.spans if span.name == name]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        self.server.let_go.wait()
        if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
            self.send_error(404)
            return
        self.server.bodies.append(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the library's name
        """Nothing on the terminal."""


def attributes(span: Span) -> dict[str, Value]:
    """What a span says."""
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


@contextmanager
def collecting(host: str = "127.0.0.1", port: int = 0, *, hangs: bool = False) -> Iterator[Collector]:
    """A collector that serves for as long as the block lasts."""
    with Collector(host, port, hangs=hangs) as collector:
        serving = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield collector
        finally:
            collector.let_go.set()
            collector.shutdown()
            serving.join()
