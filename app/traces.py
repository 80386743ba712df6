"""Spans for an OpenTelemetry collector. Loaded only where one is named: what is traced is wrapped once, at the start.

A trace's id is the request's id, so that whoever has one from a log or from a user finds the other. Spans say what
happened and how often: never a text, a name, an address, a path's variable part, or a credential.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from app import request_id
from app.batch import Append, Write
from app.handshake import Admitted
from app.main import Portcullis
from app.model import ConnectionId, Post, Stored
from app.routes.api import VERSION
from app.verdict import Denied, Refusal

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
ASGI = Callable[[Any, Any, Any], Awaitable[None]]
Judge = Callable[[Any, ConnectionId], Awaitable[Admitted | Refusal]]

_log = logging.getLogger("portcullis.traces")
_QUEUED: Final = 2048
"""Spans that wait; with more the oldest are lost."""
_BATCH: Final = 512
_EVERY_MS: Final = 1000.0
_EXPORT_SECONDS: Final = 5.0
"""For one batch, everything included."""
_PARTING_SECONDS: Final = 1.0
"""For what is left at the end: nobody waits for a collector longer than that."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_APART: Final = Context()
"""Every span is the root of its own trace: nothing that a client sends makes it another's child."""


@asynccontextmanager
async def traced(portcullis: Portcullis) -> AsyncIterator[None]:
    """Export spans for as long as the server serves; what is left at the end gets a second."""
    # Its own words quote what a collector answers. Whether spans get there, `Exporter` says.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider = _provider(Exporter(portcullis.backends.settings.otlp_endpoint))
    wire(portcullis, provider.get_tracer("portcullis", VERSION))
    try:
        yield
    finally:
        # It may hang as long as the collector does: in a thread that no exit waits for.
        parting = threading.Thread(target=provider.shutdown, daemon=True)
        parting.start()
        await asyncio.to_thread(parting.join, _PARTING_SECONDS)


def wire(portcullis: Portcullis, tracer: Tracer) -> None:
    """Put a span around each handshake, request, batch and drain. Where nothing is traced, nothing is in their way."""
    backends = portcullis.backends
    backends.doorman.judge = _handshakes(tracer, backends.doorman.judge)  # type: ignore[method-assign]
    backends.drain.run = _drains(tracer, backends.drain.run)  # type: ignore[method-assign]
    backends.batch.append = _batches(tracer, backends.batch.append)
    portcullis.answer = _requests(tracer, portcullis.answer)


class Exporter(SpanExporter):
    """OTLP over HTTP. Says once that spans are lost, and once that they arrive again."""

    def __init__(self, endpoint: str) -> None:
        self._inner = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
        self._arriving = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter."""
        result = self._inner.export(spans)
        arrived = result is SpanExportResult.SUCCESS
        if arrived != self._arriving:
            self._arriving = arrived
            _log.log(logging.INFO if arrived else logging.WARNING, "traces_arrive" if arrived else "traces_lost")
        return result

    def shutdown(self) -> None:
        """See SpanExporter."""
        self._inner.shutdown()  # type: ignore[no-untyped-call] # it has no annotations


class _Ids(RandomIdGenerator):
    """A request's id is 128 bits in hexadecimal, as a trace's is."""

    def generate_trace_id(self) -> int:
        """A new one for what no request asked for, and for the one id that no trace may have: zero."""
        return int(request_id.current() or "0", 16) or super().generate_trace_id()


def _provider(exporter: SpanExporter) -> TracerProvider:
    """Nobody else's: it is not the process's global one, and its resource is what is said here."""
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource({"service.name": "portcullis", "service.version": VERSION}),
        shutdown_on_exit=False,
        id_generator=_Ids(),
        span_limits=SpanLimits(max_attributes=16, max_attribute_length=64),
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=_QUEUED, schedule_delay_millis=_EVERY_MS, max_export_batch_size=_BATCH
        )
    )
    return provider


@contextmanager
def _span(tracer: Tracer, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """Around what happens inside. Of a failure its type, never its words."""
    span = tracer.start_span(name, _APART, kind)
    try:
        yield span
    except BaseException as error:
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", type(error).__name__)
        raise
    finally:
        span.end()


def _handshakes(tracer: Tracer, judge: Judge) -> Any:
    async def judged(scope: Any, connection: ConnectionId) -> Admitted | Refusal:
        with _span(tracer, "handshake", SpanKind.SERVER) as span:
            verdict = await judge(scope, connection)
            if isinstance(verdict, Refusal):
                span.set_attributes({"chat.verdict": "refused", "chat.reason": verdict.reason.value})
            else:
                facts = {"chat.profile": verdict.profile.value, "chat.credential": verdict.identity.credential.value}
                span.set_attributes({"chat.verdict": "accepted", **facts})
        return verdict

    return judged


def _drains(tracer: Tracer, run: Callable[[], Awaitable[None]]) -> Any:
    async def drained() -> None:
        with _span(tracer, "drain"):
            await run()

    return drained


def _batches(tracer: Tracer, append: Append) -> Append:
    async def appended(writes: Sequence[Write]) -> list[Stored | Denied]:
        with _span(tracer, "batch") as span:
            posts = sum(isinstance(write, Post) for write in writes)
            span.set_attributes({"chat.posts": posts, "chat.changes": len(writes) - posts})
            answers = await append(writes)
            span.set_attribute("chat.denied", sum(isinstance(answer, Denied) for answer in answers))
        return answers

    return appended


def _requests(tracer: Tracer, answer: ASGI) -> ASGI:
    async def answered(scope: Message, receive: Any, send: Send) -> None:
        method = _method(scope)
        with _span(tracer, method, SpanKind.SERVER) as span:
            span.set_attribute("http.request.method", method)

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    # The route as the program writes it: what stands in for its variables is a room or a user.
                    if (route := getattr(scope.get("route"), "path", None)) is not None:
                        span.set_attribute("http.route", route)
                        span.update_name(f"{method} {route}")
                await send(message)

            await answer(scope, receive, sending)

    return answered


def _method(scope: Message) -> str:
    """One of a closed set, since a client may write any word there."""
    return scope["method"] if scope["method"] in _METHODS else "_OTHER"
