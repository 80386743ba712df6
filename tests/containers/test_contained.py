"""The make targets over the stack in containers."""

from __future__ import annotations

import http.client
import json
import urllib.request
from typing import Any
from urllib.parse import quote

from stack import engine
from tests.containers.contained import ContainedStack
from tests.patience import until

SCRAPED = 15.0
"""Seconds between two looks of Prometheus."""
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def handshake(contained: ContainedStack, source: str) -> tuple[int, str]:
    """The status and the id of a handshake without a credential from `source`."""
    one = http.client.HTTPSConnection(
        "localhost", contained.https_port, context=contained.tls, source_address=(source, 0), timeout=10
    )
    try:
        one.request("GET", "/ws/chat", headers=UPGRADE)
        answer = one.getresponse()
        return answer.status, answer.headers["X-Request-Id"]
    finally:
        one.close()


def test_a_second_up_changes_nothing(contained: ContainedStack) -> None:
    """`make up` again says so, and every container is the one of before."""
    before = contained.containers()
    assert "nothing was changed" in contained.make("up").stdout
    assert contained.containers() == before


def test_status_is_well(contained: ContainedStack) -> None:
    """`make status` names every container and ends with 0."""
    said = contained.make("status").stdout
    assert all(name in said for name in contained.containers())
    assert said.rstrip().endswith("healthy")


def test_accounts_tokens_and_metrics(contained: ContainedStack) -> None:
    """An account made by make has a token, and the metrics of app and edge come in one text."""
    assert contained.user("alice")
    assert contained.token("alice").count(".") == 2
    said = contained.metrics()
    assert "chat_handshakes_total" in said
    assert "edge_" in said


def test_a_request_is_found(contained: ContainedStack) -> None:
    """In the edge's file and in what the app's container says, by the id that the client was told."""
    status, request_id = handshake(contained, "127.0.0.1")
    assert status == 401

    def lines() -> list[dict[str, Any]]:
        found = contained.make("logs", f"REQUEST={request_id}", check=False).stdout
        return [json.loads(line) for line in found.splitlines()]

    until(lambda: len(lines()) == 2, "edge and app have logged it")
    edge, app = lines()
    assert (edge["path"], edge["status"], edge["request_id"]) == ("/ws/chat", "401", request_id)
    assert (app["event"], app["reason"], app["request_id"]) == ("handshake_refused", "credential_missing", request_id)


def test_everything_is_watched(contained: ContainedStack) -> None:
    """Prometheus reaches the app, the edge, both stores, the machine and itself, and the exporters reach the stores."""

    def asked(path: str) -> Any:
        port = contained.settings["PORTCULLIS_PROMETHEUS_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def up() -> set[str]:
        return {one["labels"]["job"] for one in asked("targets")["activeTargets"] if one["health"] == "up"}

    jobs = {"app", "edge", "valkey", "postgres", "node", "stack", "prometheus", "alertmanager"}
    until(lambda: up() == jobs, "every target answers", 2 * SCRAPED)
    for query in ("redis_up == 1", "pg_up == 1", 'node_filesystem_avail_bytes{mountpoint="/"} > 0'):
        until(lambda query=query: asked(f"query?query={quote(query)}")["result"], query, 2 * SCRAPED)  # type: ignore[misc]


def test_true_client_addresses(contained: ContainedStack) -> None:
    """Who uses up an address's handshakes is refused; another address is not: the app sees the clients' own."""
    statuses = [handshake(contained, "127.0.0.7")[0] for _ in range(12)]
    assert statuses.count(401) >= 10
    assert statuses[-1] == 429
    assert handshake(contained, "127.0.0.8")[0] == 401


def test_unknown_settings_stop_the_start(contained: ContainedStack) -> None:
    """A name that is no setting is refused with the one that it resembles, and nothing is changed."""
    before = contained.containers()
    done = contained.make("up", check=False, PORTCULLIS_CONNECTIONS_PER_USERS="7")
    assert done.returncode != 0
    assert "PORTCULLIS_CONNECTIONS_PER_USER meant" in done.stderr
    assert contained.containers() == before


def test_the_shapes_do_not_mix(contained: ContainedStack) -> None:
    """The embedded stack does not start on the state of the containers."""
    done = contained.make("up", check=False, PORTCULLIS_SHAPE="embedded")
    assert done.returncode != 0
    assert "another PORTCULLIS_STATE" in done.stderr


def test_images_have_no_build_tools(contained: ContainedStack) -> None:
    """No image has a compiler, pip, or a program that changes its user; all say what they are."""
    for service in contained.config()["services"].values():
        (image,) = engine.inspect(service["image"])
        assert image["Config"]["Labels"]["org.opencontainers.image.title"].startswith("portcullis ")
        assert image["Config"]["User"].partition(":")[0].isdigit()
        look = "command -v gcc cc make pip git curl wget; find / -xdev -type f -perm /6000 2>/dev/null; true"
        said = engine.run("run", "--rm", "--network=none", "--entrypoint=sh", service["image"], "-c", look)
        assert said == "", service["image"]
