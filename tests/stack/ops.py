"""What an administrator's script asks a whole stack for at `/api/ops/`."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from tests.stack.running import RunningStack


def answer(stack: RunningStack, path: str, token: str) -> tuple[int, Any]:
    """The status, and the JSON that comes with it, through the edge."""
    connection = http.client.HTTPSConnection("localhost", stack.https_port, context=stack.tls, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        found = connection.getresponse()
        return found.status, json.loads(found.read())
    finally:
        connection.close()


def asked(stack: RunningStack, path: str, token: str) -> Any:
    """What is answered when all is well."""
    status, content = answer(stack, path, token)
    assert status == http.HTTPStatus.OK, content
    return content


def parts_up(stack: RunningStack, token: str) -> set[str]:
    """The parts that answer Prometheus, by the chart that `/ops` draws; nobody where it does not answer yet."""
    time.sleep(0.5)  # the edge lets nobody ask fifty times a second
    status, content = answer(stack, "/api/ops/panels/parts?window=15m", token)
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        assert content["reason"] == "unwatched", content
        return set()
    assert status == http.HTTPStatus.OK, content
    return {one["label"] for one in content["series"] if one["values"][-1] == 1}
