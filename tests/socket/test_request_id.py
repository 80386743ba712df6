"""One id from the edge's header to the answer, the log and the audit log, on a real server."""

from __future__ import annotations

import json
import secrets
import sqlite3
from contextlib import closing

from tests.patience import until
from tests.socket.server import Server, new_address, new_name


def made() -> tuple[str, dict[str, str]]:
    """An id as the edge makes it, and the headers with it."""
    name = secrets.token_hex(16)
    return name, {"X-Request-Id": name}


def audited(server: Server, request_id: str) -> list[tuple[str, str]]:
    """What the audit log has of a request: who, and what."""
    with closing(sqlite3.connect(server.state / "data" / "chat.db")) as store:
        return store.execute("SELECT by, action FROM audit WHERE request_id = ?", (request_id,)).fetchall()


def test_a_refused_request_says_its_id(server: Server) -> None:
    """In the header and in the problem body; an id that is none of the edge's is replaced."""
    name, sent = made()
    status, headers, body = server.get("/api/session", headers=sent)
    assert (status, headers["x-request-id"], json.loads(body)["request_id"]) == (401, name, name)
    [line] = [line for line in server.log_lines("request_refused") if line["request_id"] == name]
    assert (line["status"], line["reason"]) == (401, "credential_missing")
    _, headers, body = server.get("/api/session", headers={"X-Request-Id": "my own"})
    assert len(headers["x-request-id"]) == 32
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    assert "my own" not in server.log()


def test_the_private_listener_has_none(server: Server) -> None:
    """Whoever watches comes by no edge."""
    assert "x-request-id" not in server.get("/live", private=True)[1]


async def test_a_refused_handshake_says_its_id(server: Server) -> None:
    """And its line in the log has the same."""
    name, sent = made()
    refused = await server.refused(None, headers=sent, address=new_address())
    assert refused.body["request_id"] == name
    (line,) = [line for line in server.log_lines("handshake_refused") if line["request_id"] == name]
    assert line["reason"] == "credential_missing"


async def test_a_connection_keeps_the_id_of_its_handshake(server: Server) -> None:
    """In the accept, in what it changed, in the audit log, and in the line that tells its story."""
    name, sent = made()
    user, title = new_name(), f"Den {new_name()}"
    client = await server.connect(await server.token(user), headers=sent, address=new_address())
    assert client.socket.response is not None
    assert client.socket.response.headers["X-Request-Id"] == name
    created = await client.ask(type="create", title=title)
    await client.socket.close()
    until(lambda: [line for line in server.log_lines("connection_closed") if line["request_id"] == name], "its line")
    (stored,) = [line for line in server.log_lines("event_stored") if line["request_id"] == name]
    assert (stored["action"], stored["user"], stored["room"], stored["offset"]) == ("create", user, created["room"], 1)
    assert audited(server, name) == [(user, "create")]


async def test_requests_over_http_lead_to_their_events(server: Server) -> None:
    """A post and a change: each has a line with the event's room and offset under its own id."""
    bearer = {"Authorization": f"Bearer {await server.token(new_name())}"}
    ids = []
    path, body = "/api/rooms", {"title": f"Den {new_name()}"}
    for verb, content in (("", body), ("post", {"message": f"spoken {new_name()}"}), ("archive", {})):
        name, sent = made()
        ids.append(name)
        asked = f"{path}/{verb}" if verb else path
        status, _, answer = server.get(asked, method="POST", body=content, headers=bearer | sent)
        assert status in (200, 201), answer
        path = f"/api/rooms/{json.loads(answer)['room']}"
    lines = {line["request_id"]: line for line in server.log_lines("event_stored")}
    told = [(lines[name]["action"], lines[name]["offset"]) for name in ids]
    assert told == [("create", 1), ("post", 2), ("archive", 3)]
    assert [len(audited(server, name)) for name in ids] == [1, 0, 1]


async def test_a_malformed_handshake_keeps_its_id(server: Server) -> None:
    """However the edge spells the header."""
    name = secrets.token_hex(16)
    refused = await server.refused(None, headers={"X-Request-ID": name, "Upgrade": "h2c"}, address=new_address())
    assert refused.body["request_id"] == name
