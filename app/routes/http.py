"""The HTTP application: API, page, and the answer to what should have been a WebSocket."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig

from app.asyncapi import document
from app.backends import Backends
from app.routes import page, socket
from app.routes.api import install
from app.routes.gate import passed
from app.routes.problem import refusal_problem

_NO_TELEMETRY: Final[TelemetryConfig] = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
"""FastAPI's own would tell addresses, paths and queries to whatever collector a variable of the environment names."""


def create(backends: Backends, lifespan: Any) -> FastAPI:
    """The FastAPI application over these backends."""
    api = FastAPI(
        docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", lifespan=lifespan, telemetry=_NO_TELEMETRY
    )
    api.state.backends = backends
    install(api)
    api.include_router(page.router(), dependencies=[Depends(passed)])
    api.include_router(_socket_pages())
    return api


def _socket_pages() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/api/asyncapi.json")
    async def asyncapi() -> JSONResponse:
        """The socket's document, beside the HTTP API's."""
        return JSONResponse(document())

    @router.api_route(socket.PATH, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
    async def no_socket(request: Request) -> Response:
        """A request for the socket that asks for no upgrade."""
        backends: Backends = request.app.state.backends
        return refusal_problem(backends.doorman.refuse_malformed())

    return router
