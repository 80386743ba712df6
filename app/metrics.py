"""What is counted, for Prometheus. Labels come from closed sets only: never a user, room, address or token."""

from __future__ import annotations

import os
import struct
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_QUICK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LONG = (1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)


disable_created_metrics()  # type: ignore[no-untyped-call]


class Unsettled(Exception):  # noqa: N818 - it is over in a moment
    """Just now another worker makes one of the files that are read. Ask again."""


class Metrics:
    """One process's metrics on a registry of their own.

    Where gunicorn runs several workers, each writes them to files and any of them answers for all (the folder is
    prometheus-client's PROMETHEUS_MULTIPROC_DIR). A dead worker's counters stay, its gauges go.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"chat_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, *labels: str, buckets: tuple[float, ...] = _QUICK) -> Histogram:
            return Histogram(f"chat_{name}", what, labels, registry=registry, buckets=buckets)

        def gauge(name: str, what: str, *labels: str, over: Literal["livesum", "livemax"] = "livesum") -> Gauge:
            """`over`: what several workers' values are together."""
            return Gauge(f"chat_{name}", what, labels, registry=registry, multiprocess_mode=over)

        self.handshakes = counter("handshakes_total", "WebSocket handshakes judged.", "verdict")
        self.handshakes_rejected = counter("handshakes_rejected_total", "Handshakes refused.", "reason")
        self.connections = gauge("connections", "Connections open now.")
        self.connection_seconds = histogram("connection_seconds", "How long connections lasted.", buckets=_LONG)
        self.closes = counter("closes_total", "Connections closed.", "code")
        self.messages = counter("messages_total", "Posts received, by what became of them.", "outcome")
        self.messages_throttled = counter("messages_throttled_total", "Frames refused by a limit.", "limit")
        self.messages_invalid = counter("messages_invalid_total", "Frames that meant nothing.", "reason")
        self.changes = counter("changes_total", "Changes of rooms asked for.", "action", "outcome")
        self.recoveries = counter("recoveries_total", "Joins that asked for a replay.", "outcome")
        self.sign_ins = counter("sign_ins_total", "Sign-ins answered.", "outcome")
        self.deliveries = counter("deliveries_total", "Events written to connections.")
        self.delivery_seconds = histogram("delivery_seconds", "From stored to written, once an event.")
        self.ack_seconds = histogram("ack_seconds", "From received to durably stored.")
        self.outbox_bytes = gauge("outbox_bytes", "Bytes waiting for slow readers, sampled every second.")
        self.outbox_dropped = counter("outbox_dropped_total", "Ephemeral frames left out for slow readers.")
        self.slow_consumers = counter("slow_consumers_total", "Connections closed because they read too slowly.")
        self.store_seconds = histogram("store_seconds", "How long the store took.", "verb")
        self.store_errors = counter("store_errors_total", "Calls that the store did not answer.", "verb")
        self.processes = gauge(
            "processes", "Processes that share limits and presence, as last counted.", over="livemax"
        )
        self.limiter_seconds = histogram("limiter_seconds", "How long shared limits took to answer.", "backend")
        self.broker_lag = histogram("broker_lag_seconds", "From a publication to its own receipt of it.")
        self.broker_errors = counter(
            "broker_errors_total", "Publications not sent, and messages not understood.", "what"
        )
        self.degraded = gauge("degraded", "1 while a backend does not answer.", "backend", over="livemax")
        self.drains = counter("drains_total", "Drains begun.")

    def exposition(self) -> bytes:
        """The text format, version 0.0.4: of all workers. Raises Unsettled."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        try:
            return generate_latest(everybody)
        except struct.error:  # a file without its first bytes
            raise Unsettled from None
