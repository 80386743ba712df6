"""The OpenAPI document: complete, and true to what the API answers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from app.routes.api import VERSION, document, install
from app.routes.problem import CATALOGUE, documented, not_found_body, refusal_body
from app.verdict import Reason, Refusal
from tests.unit.party import problem

DOCUMENT = document()


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_route_is_documented() -> None:
    """Paths and methods are those of the contract."""
    assert {name for name, _ in operations()} == {
        "POST /api/session",
        "GET /api/session",
        "DELETE /api/session",
        "GET /api/sessions",
        "DELETE /api/sessions/{id}",
        "POST /api/password",
        "POST /api/tokens",
        "POST /api/tickets",
        "GET /.well-known/jwks.json",
        "POST /api/accounts",
        "PATCH /api/accounts/{name}",
        "DELETE /api/accounts/{name}/sessions",
        "POST /api/bans",
        "GET /api/bans",
        "DELETE /api/bans/{id}",
        "GET /api/cooldowns",
        "DELETE /api/cooldowns/{name}",
        "GET /api/nodes",
        "PUT /api/nodes/{name}/drain",
        "DELETE /api/nodes/{name}/drain",
        "POST /api/revocations",
        "GET /api/ops/catalogue",
        "GET /api/ops/panels/{name}",
        "GET /api/ops/alerts",
        "GET /api/rooms",
        "POST /api/rooms",
        "GET /api/rooms/{room}",
        "GET /api/rooms/{room}/events",
        "GET /api/rooms/{room}/members",
        "GET /api/rooms/{room}/audit",
        "POST /api/rooms/{room}/{verb}",
    }


@pytest.mark.parametrize(("name", "operation"), list(operations()))
def test_every_error_is_a_problem(name: str, operation: dict[str, Any]) -> None:
    """Each error names its reasons by example, as problem+json only, with nothing of the framework's own."""
    assert operation["description"]
    for status, answer in operation["responses"].items():
        if int(status) < 400:
            continue
        (media,) = answer["content"].items()
        assert media[0] == "application/problem+json"
        assert media[1]["schema"] == {"$ref": "#/components/schemas/Problem"}
        for reason, example in media[1]["examples"].items():
            assert example["value"]["status"] == int(status) == CATALOGUE[reason].status
        assert ("Retry-After" in answer.get("headers", {})) == (status in {"429", "503"})


def test_references_resolve() -> None:
    """The document is whole."""
    names = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))
    assert names <= set(DOCUMENT["components"]["schemas"])
    assert "HTTPValidationError" not in names


def test_version_is_the_projects() -> None:
    """One version, in the project file and in the document."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert VERSION == DOCUMENT["info"]["version"] == project["project"]["version"]


def test_an_applications_document_is_the_same() -> None:
    """What a running server shows is what the command line prints."""
    app = FastAPI()
    install(app)
    assert app.openapi() == DOCUMENT
    assert any(isinstance(route, Route) for route in app.routes)


@pytest.mark.parametrize("reason", list(Reason))
def test_refusals_have_one_body(reason: Reason) -> None:
    """The denial of a handshake has status, type, no-store, and a Retry-After that is never too early."""
    status, headers, body = refusal_body(Refusal(reason, 1.2))
    fields = dict(headers)
    assert status == CATALOGUE[reason].status
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"retry-after"] == b"2"
    assert int(fields[b"content-length"]) == len(body)
    assert b"retry-after" not in dict(refusal_body(Refusal(reason))[1])


def test_not_found_body() -> None:
    """Also for paths that only a socket asks for."""
    assert not_found_body()[0] == 404


def test_documented_groups_by_status() -> None:
    """Two reasons of one status are two examples of one answer."""
    (answer,) = documented("token_invalid", "token_expired").values()
    assert set(answer["content"]["application/problem+json"]["examples"]) == {"token_invalid", "token_expired"}


async def test_failures_tell_nothing() -> None:
    """A bug is a 500 problem without a word of what went wrong."""
    app = FastAPI()
    install(app)

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("canary")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
        answer = await client.get("/bug")
    assert problem(answer) == (500, "internal")
    assert "canary" not in answer.text
