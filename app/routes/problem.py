"""RFC 9457 problem bodies: every error of the HTTP API and every refused handshake is one of these."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from app import request_id
from app.verdict import ERRORS, REASONS, Meaning, Refusal

_log = logging.getLogger("portcullis.requests")
MEDIA_TYPE: Final = "application/problem+json"
_CHALLENGE: Final = 'Bearer realm="portcullis"'

CATALOGUE: Final[Mapping[str, Meaning]] = {
    **{code.value: meaning for code, meaning in ERRORS.items()},
    **{reason.value: meaning for reason, meaning in REASONS.items()},
    "invalid": Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not valid."),
    "rate_limited": Meaning(HTTPStatus.TOO_MANY_REQUESTS, "That was too often. Wait."),
    "busy": Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "The server is busy. Try again in a moment."),
    "credentials_wrong": Meaning(HTTPStatus.UNAUTHORIZED, "The name or the password is wrong."),
    "password_change_required": Meaning(
        HTTPStatus.FORBIDDEN, "This password works once. Send it again together with a new_password of your own."
    ),
    "admin_required": Meaning(HTTPStatus.FORBIDDEN, "Only an administrator may do that."),
    "not_found": Meaning(HTTPStatus.NOT_FOUND, "There is nothing here."),
    "method_not_allowed": Meaning(HTTPStatus.METHOD_NOT_ALLOWED, "That method is not allowed here."),
    "name_taken": Meaning(HTTPStatus.CONFLICT, "An account of that name exists already."),
    "own_account": Meaning(HTTPStatus.CONFLICT, "That would lock yourself out. Have another administrator do it."),
    "last_node": Meaning(HTTPStatus.CONFLICT, "No other node would take its people: it is the last one that is open."),
    "unwatched": Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "Prometheus does not answer, or none is configured."),
    "internal": Meaning(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed. The failure was logged."),
}
"""What each reason of the API says: of a refused verb, of a handshake, and what HTTP alone knows or words otherwise."""


class FieldError(BaseModel):
    """One field that is not valid. Its value is never repeated."""

    field: str = Field(examples=["new_password"])
    error: str = Field(examples=["String should have at least 12 characters"])


class Problem(BaseModel):
    """RFC 9457 problem details. `reason` is what programs should look at."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(examples=["urn:portcullis:reason:rate_limited"])
    title: str = Field(examples=["Rate limited"])
    status: int = Field(examples=[429])
    detail: str = Field(examples=["That was too often. Wait."])
    reason: str = Field(examples=["rate_limited"])
    retry_after: float | None = Field(None, description="Seconds after which a retry is worth it.", examples=[12.0])
    limit: str | None = Field(None, description="The limit that was reached.", examples=["sign_ins_per_account"])
    errors: list[FieldError] | None = Field(None, description="The fields that are not valid.")
    request_id: str | None = Field(
        None,
        description="What the logs call this request; the X-Request-Id header says it, too.",
        examples=["5f2b8c1e9a4d4c07b6e3d1f0a7c89e52"],
    )


class Refused(Exception):  # noqa: N818 - it ends a request early, nothing went wrong
    """Raised by a route or its dependencies; becomes the problem of that reason."""

    def __init__(self, reason: str, retry_after: float | None = None, **extra: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.extra = extra


def problem(status: int, reason: str, detail: str, retry_after: float | None = None, **extra: Any) -> Response:
    """The response of one problem, and its line in the log; `extra` are further members of `Problem`."""
    _log.info("request_refused", extra={"status": int(status), "reason": str(reason)})
    code, headers, body = _body(status, reason, detail, retry_after, extra)
    response = Response(body, code)
    response.raw_headers = headers
    return response


def problem_of(reason: str, retry_after: float | None = None, **extra: Any) -> Response:
    """The response of a reason in the catalogue."""
    meaning = CATALOGUE[reason]
    return problem(meaning.status, reason, extra.pop("detail", meaning.text), retry_after, **extra)


def refusal_problem(refusal: Refusal) -> Response:
    """The response that a refused handshake would have got."""
    return problem_of(refusal.reason, refusal.retry_after)


def refusal_body(refusal: Refusal) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of a refused handshake, for an ASGI denial response."""
    meaning = REASONS[refusal.reason]
    return _body(meaning.status, refusal.reason, meaning.text, refusal.retry_after, {})


def not_found_body() -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body for a path that does not exist."""
    meaning = CATALOGUE["not_found"]
    return _body(meaning.status, "not_found", meaning.text, None, {})


def documented(*reasons: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` for the problems that a route may answer with, an example for each reason."""
    answers: dict[int | str, dict[str, Any]] = {}
    for reason in reasons:
        meaning = CATALOGUE[reason]
        answer = answers.setdefault(int(meaning.status), _empty_answer(meaning.status))
        waits = meaning.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
        example = json.loads(_body(meaning.status, reason, meaning.text, 12.0 if waits else None, {})[2])
        answer["content"][MEDIA_TYPE]["examples"][reason] = {"summary": meaning.text, "value": example}
        if waits:
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    return answers


def _empty_answer(status: HTTPStatus) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": schema, "examples": {}}}}


def _body(
    status: int, reason: str, detail: str, retry_after: float | None, extra: Mapping[str, Any]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    content: dict[str, Any] = {
        "type": f"urn:portcullis:reason:{reason}",
        "title": reason.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "reason": str(reason),
    }
    if retry_after is not None:
        content["retry_after"] = round(retry_after, 3)
    content.update(extra)
    if (of := request_id.current()) is not None:
        content["request_id"] = of
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(retry_after))).encode()))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", _CHALLENGE.encode()))
    return int(status), headers, body
