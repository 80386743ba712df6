"""The HTTP API as a whole: its routes, what it answers when something is wrong, and its OpenAPI document."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from app.handshake import SESSION_COOKIE
from app.prometheus import Unwatched
from app.routes import accounts, bans, cooldowns, nodes, ops, rooms, sessions, tokens
from app.routes.problem import Problem, Refused, problem, problem_of
from app.store import StoreDown
from app.verdict import Reason

VERSION: Final = "0.1.0"
_FIELD_CHARACTERS: Final = 64
_RETRY_SECONDS: Final = 2.0
_UNWATCHED_SECONDS: Final = 5.0
_DESCRIPTION: Final = """Sign-in, tokens, tickets and administration of a Portcullis chat. The chat itself is the
WebSocket `/ws/chat`, see the AsyncAPI document. Every error is an `application/problem+json` body (RFC 9457) whose
`reason` is a word of docs/reasons.md; where waiting helps, `retry_after` and the Retry-After header say how long."""


def install(app: FastAPI) -> None:
    """Add the routes and every error's answer to an application whose `state.backends` is set before it serves."""
    for routes in (sessions, tokens, rooms, accounts, bans, cooldowns, nodes, ops):
        app.include_router(routes.router)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StoreDown, _store_down)
    app.add_exception_handler(Unwatched, _unwatched)
    app.add_exception_handler(Exception, _internal)
    app.openapi = lambda: document(app)  # type: ignore[method-assign] # FastAPI documents this as the way


def document(app: FastAPI | None = None) -> dict[str, Any]:
    """The OpenAPI document of the API; of a bare one, without any settings, when no application is given."""
    if app is None:
        app = FastAPI()
        install(app)
    content = get_openapi(title="Portcullis", version=VERSION, description=_DESCRIPTION, routes=app.routes)
    components = content.setdefault("components", {})
    components["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }
    components["schemas"] |= _schemas(Problem)
    return content


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - what it is registered for
    return problem_of(error.reason, error.retry_after, **error.extra)


def _invalid(_request: Request, error: Exception) -> Response:
    """Names the fields and what is wrong with them; never what they contained, which may be a password."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = [{"field": _field(item["loc"]), "error": item["msg"]} for item in error.errors()]
    fields = ", ".join(sorted({item["field"] for item in errors}))
    return problem_of("invalid", detail=f"Not valid: {fields}.", errors=errors)


def _field(location: tuple[int | str, ...]) -> str:
    named = [str(part) for part in location[1:] if isinstance(part, str)]
    return ".".join(named)[:_FIELD_CHARACTERS] or "body"


def _http_error(_request: Request, error: Exception) -> Response:
    """What the framework refuses by itself: unknown paths, wrong methods, bodies that are no JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem_of("not_found")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response = problem_of("method_not_allowed")
        response.headers["Allow"] = (error.headers or {}).get("Allow", "")
        return response
    return problem(error.status_code, "invalid", "The request is not valid.")


def _store_down(_request: Request, _error: Exception) -> Response:
    return problem_of(Reason.BACKEND_DOWN, _RETRY_SECONDS)


def _unwatched(_request: Request, _error: Exception) -> Response:
    return problem_of("unwatched", _UNWATCHED_SECONDS)


def _internal(_request: Request, _error: Exception) -> Response:
    """Nothing of the failure: the traceback is in the log."""
    return problem_of("internal")
