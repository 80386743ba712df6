"""What an operator does with an id that a user reads out: ask for it, and see everything."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPSConnection
from typing import Any

import pytest

from tests.patience import PATIENCE, until
from tests.stack.running import RunningStack


def logged(stack: RunningStack, request_id: str | None) -> list[dict[str, Any]]:
    """What `make logs REQUEST=…` prints."""
    done = stack.make("logs", f"REQUEST={request_id}", check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask(stack: RunningStack, path: str, body: Any, token: str) -> tuple[int, str | None, Any]:
    """A POST through the edge: status, X-Request-Id and the body."""
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = HTTPSConnection("localhost", stack.https_port, timeout=PATIENCE, context=stack.tls)
    with closing(connection):
        connection.request("POST", path, json.dumps(body), sent)
        answer = connection.getresponse()
        return answer.status, answer.headers["X-Request-Id"], json.loads(answer.read())


async def test_from_the_edge_to_the_event(stack: RunningStack) -> None:
    """One id is in the edge's line and in the app's, which names the event."""
    token = await stack.mint("tracer")
    status, request_id, created = ask(stack, "/api/rooms", {"title": "Traced"}, token)
    assert status == 201, created
    until(lambda: len(logged(stack, request_id)) == 2, "edge and app have logged it")
    lines = logged(stack, request_id)
    [edge] = [line for line in lines if "path" in line]
    [app] = [line for line in lines if "event" in line]
    assert (edge["path"], edge["status"], edge["request_id"]) == ("/api/rooms", "201", request_id)
    assert (app["event"], app["room"], app["offset"]) == ("event_stored", created["room"], 1)
    assert app["request_id"] == request_id


@pytest.mark.parametrize(
    ("path", "reason", "refused_by"),
    [("/api/rooms", "token_invalid", "request_refused"), ("/metrics", "not_found", "edge")],
)
def test_a_refusal_says_what_to_look_for(stack: RunningStack, path: str, reason: str, refused_by: str) -> None:
    """Whoever refuses, edge or app: the id in the body is the header's, and is in the log."""
    _, request_id, problem = ask(stack, path, {}, "none")
    assert (problem["reason"], problem["request_id"]) == (reason, request_id)
    wanted = {"edge", refused_by}
    until(lambda: {line.get("event", "edge") for line in logged(stack, request_id)} == wanted, "all have logged it")


def test_what_no_log_has(stack: RunningStack) -> None:
    """An id that was never given out, and one that is none."""
    done = stack.make("logs", f"REQUEST={'0' * 32}", check=False)
    assert done.returncode != 0 and "No log has that request" in done.stderr
    done = stack.make("logs", "REQUEST=.*", check=False)
    assert done.returncode != 0 and "32 hexadecimal digits" in done.stderr
