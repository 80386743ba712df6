"""What an operator does with an id that a user reads out: look for it in the logs, and find everything."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE, until
from tests.stack.running import RunningStack


def found(stack: RunningStack, request_id: str | None) -> dict[str, list[dict[str, Any]]]:
    """The lines of the stack's logs that have the id, by file: `grep -r ID logs`."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(Path(stack.state / "logs").iterdir()):
        with_it = [line for line in path.read_text(errors="replace").splitlines() if str(request_id) in line]
        if with_it:
            lines[path.name] = [json.loads(line[line.index("{") :]) for line in with_it]
    return lines


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
    until(lambda: len(found(stack, request_id)) == 2, "edge and app have logged it")
    lines = found(stack, request_id)
    [edge] = lines.pop("edge-access.log")
    [[app]] = lines.values()
    assert (edge["path"], edge["status"], edge["request_id"]) == ("/api/rooms", "201", request_id)
    assert (app["event"], app["room"], app["offset"]) == ("event_stored", created["room"], 1)
    assert app["request_id"] == request_id


@pytest.mark.parametrize(("path", "reason"), [("/api/rooms", "token_invalid"), ("/metrics", "not_found")])
def test_a_refusal_says_what_to_look_for(stack: RunningStack, path: str, reason: str) -> None:
    """Whoever refuses, edge or app: the id in the body is the header's, and is in the log."""
    _, request_id, problem = ask(stack, path, {}, "none")
    assert (problem["reason"], problem["request_id"]) == (reason, request_id)
    until(lambda: "edge-access.log" in found(stack, request_id), "the edge has logged it")
