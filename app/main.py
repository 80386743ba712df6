"""The application: socket, HTTP API and page on the public listener, health and metrics on the private one."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI

from app import request_id
from app.address import through_edge
from app.backends import Backends, build, opened
from app.routes import health, http, socket
from app.routes.signed import signed
from app.settings import load


class Portcullis:
    """The ASGI callable. Which listener a request came in by decides what it can reach."""

    backends: Backends

    def __init__(self, backends: Backends) -> None:
        self.backends = backends
        self._private = backends.settings.private_socket.removeprefix("unix:")
        self._api = http.create(backends, _lifespan(self))
        self.answer: Callable[[Any, Any, Any], Awaitable[None]] = self._api
        """What answers HTTP requests."""

    @property
    def api(self) -> FastAPI:
        """The HTTP part, for its OpenAPI document."""
        return self._api

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See the ASGI specification, version 3."""
        if scope["type"] == "http" and self.is_private(scope.get("server")):
            await health.serve(self.backends, scope, send)
        elif scope["type"] == "lifespan":
            await self._api(scope, receive, send)
        else:
            believed = through_edge(scope, self.backends.settings)
            send = signed(send, request_id.begin(scope["headers"], believed=believed))
            if scope["type"] == "websocket":
                await socket.serve(self.backends, scope, receive, send)
            else:
                await self.answer(scope, receive, send)

    def is_private(self, server: tuple[str, int | None] | None) -> bool:
        """Whether a connection to this address of ours came by the private listener."""
        if server is None:
            return False
        host, port = server
        # The connection's own address: on a listener for all of the host's, the port says which listener it is.
        return self._private in (host if port is None else f"{host}:{port}", f"0.0.0.0:{port}")


def create_app() -> Portcullis:
    """Everything wired by the settings in the environment. Raises SettingsError."""
    return Portcullis(build(load()))


def _lifespan(portcullis: Portcullis) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with _traced(portcullis), opened(portcullis.backends):
            # What lives now lives for good: handshakes were 1.3 times as fast without walking it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)
            yield

    return lifespan


def _traced(portcullis: Portcullis) -> contextlib.AbstractAsyncContextManager[None]:
    """Around all else, so that the last batch is still seen."""
    if not portcullis.backends.settings.otlp_endpoint:
        return contextlib.nullcontext()
    from app.traces import traced  # noqa: PLC0415 - who exports nothing loads nothing that could

    return traced(portcullis)
