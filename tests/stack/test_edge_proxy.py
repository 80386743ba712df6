"""What passes the edge, and what it says about the client."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.patience import PATIENCE, until
from tests.stack.edge import Edge, check, running


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with running() as started:
        yield started


def told(edge: Edge, path: str = "/", **changed: object) -> dict[str, str]:
    """The headers that reached the application, by name."""
    answer = edge.request(path, **changed)  # type: ignore[arg-type]
    return dict(answer.json()["headers"])


def raw(edge: Edge, text: str) -> bytes:
    """All bytes the edge sends for a request written by hand; empty when it only closes."""
    with edge.connect() as stream:
        stream.sendall(text.encode())
        return rest(stream)


def rest(stream: socket.socket) -> bytes:
    """All that still comes; a reset ends it like any other close."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := stream.recv(65_536):
            answer += part
    return answer


def test_page_passes_with_its_query(edge: Edge) -> None:
    """Everything but the private paths reaches the application, and its answer the client."""
    answer = edge.request("/web/chat.js?v=1")
    body = answer.json()
    assert answer.status == 200
    assert (body["path"], body["query"]) == ("/web/chat.js", "v=1")


def test_forged_addresses_are_overwritten(edge: Edge) -> None:
    """The application sees the peer's address whatever the client claims, and no claim at all."""
    forged = dict.fromkeys(("X-Real-IP", "X-Forwarded-For", "Forwarded", "X-Forwarded-Proto"), "192.0.2.9")
    headers = told(edge, headers=forged, source="127.0.0.7")
    assert headers["x-real-ip"] == "127.0.0.7"
    assert not set(headers) & {"x-forwarded-for", "forwarded", "x-forwarded-proto"}


def logged(edge: Edge, request_id: str | None) -> list[dict[str, str]]:
    """The access log's lines of a request."""
    return [line for line in map(json.loads, edge.lines()) if line["request_id"] == request_id]


def test_every_request_has_one_id(edge: Edge) -> None:
    """The edge's own, whatever a client calls its request: to the application, to the client and in the log."""
    answer = edge.request("/", headers={"X-Request-Id": "5f2b8c1e9a4d4c07b6e3d1f0a7c89e52"})
    [request_id] = answer.headers.get_all("X-Request-Id", [])
    assert [value for name, value in answer.json()["headers"] if name == "x-request-id"] == [request_id]
    assert len(request_id) == 32 and not request_id.startswith("5f2b8c1e")
    [line] = until(lambda: logged(edge, request_id), "the request is logged")
    assert line["path"] == "/"
    with connect(f"wss://{edge.host}/ws/chat", ssl=edge.trust, proxy=None) as chat:
        assert chat.response is not None
        assert dict(json.loads(chat.recv()))["x-request-id"] == chat.response.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/metrics", "/%00", "/api/status/200"])
def test_the_edges_own_answers_say_the_id(edge: Edge, path: str) -> None:
    """Header, body and log agree where it is the edge that refuses."""
    answer = edge.request(path, "POST", body=b"x" * 70_000)
    assert answer.status in (400, 404, 413)
    [request_id] = answer.headers.get_all("X-Request-Id", [])
    assert answer.json()["request_id"] == request_id
    [line] = until(lambda: logged(edge, request_id), "the request is logged")
    assert line["status"] == str(answer.status)


def test_host_reaches_the_application_with_its_port(edge: Edge) -> None:
    """Host passes as the client sent it; the authority of an absolute request line goes before another Host."""
    assert told(edge)["host"] == edge.host
    assert told(edge, headers={"Host": "localhost"})["host"] == "localhost"
    answer = raw(edge, "GET https://localhost/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert b'["host", "localhost"]' in answer


def test_configured_outer_proxy_is_believed() -> None:
    """With an outer proxy configured, its X-Forwarded-For counts; from any other peer it does not."""
    with running(outer_proxies=("127.0.0.9",)) as edge:
        claim = {"X-Forwarded-For": "198.51.100.1, 203.0.113.5"}
        assert told(edge, headers=claim, source="127.0.0.9")["x-real-ip"] == "203.0.113.5"
        assert told(edge, headers=claim, source="127.0.0.8")["x-real-ip"] == "127.0.0.8"


def test_websocket_echo(edge: Edge) -> None:
    """A WebSocket is upgraded on its path and carries frames."""
    with connect(f"wss://{edge.host}/ws/chat", ssl=edge.trust, proxy=None) as chat:
        headers = dict(json.loads(chat.recv()))
        chat.send("hello")
        assert chat.recv(PATIENCE) == "hello"
    assert (headers["upgrade"], headers["x-real-ip"]) == ("websocket", "127.0.0.1")


def test_refusal_of_the_application_reaches_the_client(edge: Edge) -> None:
    """Status, Retry-After and body of a refused handshake pass untouched."""
    answer = edge.request(
        "/ws/chat?refuse",
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        },
    )
    assert (answer.status, answer.headers["Retry-After"]) == (403, "7")
    assert answer.json() == {"reason": "origin_forbidden"}


@pytest.mark.parametrize(
    ("path", "upgrade"), [("/ws/chat", "h2c"), ("/ws/chat", "websocket, h2c"), ("/", "h2c"), ("/", "websocket")]
)
def test_no_other_upgrade_is_forwarded(edge: Edge, path: str, upgrade: str) -> None:
    """Only `websocket`, and only on /ws/chat, reaches the application as an upgrade: no h2c smuggling."""
    claim = {"Upgrade": upgrade, "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"}
    headers = told(edge, path, headers=claim)
    assert "upgrade" not in headers
    assert headers.get("connection", "") in ("", "close")


@pytest.mark.parametrize("path", ["/metrics", "/live", "/ready", "/ready/", "//metrics", "/%6detrics", "/x/../live"])
def test_private_paths_are_not_found(edge: Edge, path: str) -> None:
    """The private listener's paths do not exist at the edge, however they are spelt."""
    answer = edge.request(path)
    assert answer.status == 404
    assert answer.json()["reason"] == "not_found"


def test_sni_of_ours_with_another_host_gets_nothing(edge: Edge) -> None:
    """A connection to a known name cannot ask for an unknown Host."""
    assert raw(edge, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n") == b""
    until(lambda: edge.rejected("unknown_host") == 1, "it is counted")


@pytest.mark.parametrize("line", ["GET", "\x16\x03", "GET /%00 HTTP/1.1", "GET / HTTP/9.9", "GET /a b HTTP/1.1"])
def test_garbage_is_answered_in_words(edge: Edge, line: str) -> None:
    """What is no request gets a problem body where the Host could be ours, and silence where it could not."""
    answer = raw(edge, f"{line}\r\nHost: localhost\r\n\r\n")
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 Bad Request", b'{"type":"urn:portcullis:'))
    assert b"<html>" not in answer


def test_unknown_name_gets_no_handshake(edge: Edge) -> None:
    """Neither another SNI nor none is shown a certificate."""
    for name in ("evil.example", None):
        told_by_openssl = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.values.https_port}"]
            + (["-servername", name] if name else ["-noservername"]),
            input="",
            capture_output=True,
            text=True,
            check=False,
        )
        assert "BEGIN CERTIFICATE" not in told_by_openssl.stdout
        assert "unrecognized name" in told_by_openssl.stderr


def test_plain_http_only_redirects_known_hosts(edge: Edge) -> None:
    """Port 8080 answers a known Host with the page's address, and another with nothing."""
    answers = []
    for host in ("localhost", "evil.example"):
        with socket.create_connection(("127.0.0.1", edge.values.http_port), PATIENCE) as plain:
            plain.sendall(f"GET /a?b=c HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answers.append(rest(plain))
    assert answers[0].startswith(b"HTTP/1.1 308 ")
    assert f"Location: https://localhost:{edge.values.https_port}/a?b=c\r\n".encode() in answers[0]
    assert answers[1] == b""


def test_plain_http_on_the_tls_port_is_refused(edge: Edge) -> None:
    """In the edge's words for a known Host, not nginx's; with silence for another."""
    with socket.create_connection(("127.0.0.1", edge.values.https_port), PATIENCE) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = rest(plain)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"reason":"bad_request"' in answer
    with socket.create_connection(("127.0.0.1", edge.values.https_port), PATIENCE) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert rest(plain) == b""


def test_address_as_host_is_served_without_sni() -> None:
    """A configured address works although its clients send no SNI; another Host still gets nothing."""
    with running(hosts=("localhost", "127.0.0.1")) as edge:
        plain = socket.create_connection(("127.0.0.1", edge.values.https_port), PATIENCE)
        with edge.trust.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert stream.recv(12) == b"HTTP/1.1 200"
        assert raw(edge, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n") == b""


def test_http2_is_offered(edge: Edge) -> None:
    """A client that can speaks HTTP/2."""
    context = edge.trust
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", edge.values.https_port), PATIENCE)
    with context.wrap_socket(plain, server_hostname="localhost") as stream:
        assert stream.selected_alpn_protocol() == "h2"


def test_http2_request_carries_the_host(edge: Edge) -> None:
    """A real HTTP/2 client's request reaches the application with Host and address."""
    said = subprocess.run(
        [
            *("curl", "-sS", "--http2", "-w", "\n%{http_version}", "--noproxy", "*"),
            *("--cacert", f"{edge.values.state}/tls/ca.pem"),
            *("--resolve", f"{edge.host}:127.0.0.1", f"https://{edge.host}/"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    body, version = said.rsplit("\n", 1)
    assert version == "2"
    assert dict(json.loads(body)["headers"])["host"] == edge.host


def test_security_headers_stand_once_on_every_kind_of_answer(edge: Edge) -> None:
    """The application's answers and the edge's own carry the headers once, and name no software."""
    for path in ("/", "/metrics", "/api/status/503"):
        headers = edge.request(path).headers
        assert headers.get_all("Strict-Transport-Security") == ["max-age=63072000"]
        assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
        assert headers.get_all("Referrer-Policy") == ["no-referrer"]
        assert headers.get_all("Cross-Origin-Opener-Policy") == ["same-origin"]
        assert headers.get_all("Cross-Origin-Resource-Policy") == ["same-origin"]
        assert len(headers.get_all("Permissions-Policy") or []) == 1
        assert headers.get_all("Server") == ["nginx"]
        [policy] = headers.get_all("Content-Security-Policy") or []
        assert policy == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' wss://{edge.host}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )


def test_reload_keeps_sockets(edge: Edge) -> None:
    """After a reload, which starts new workers, the same sockets go on."""
    with connect(f"wss://{edge.host}/ws/chat", ssl=edge.trust, proxy=None) as chat:
        chat.recv(PATIENCE)
        before = workers(edge)
        edge.signal(signal.SIGHUP)
        until(lambda: len(workers(edge) - before) == edge.values.workers, "new workers run")
        until(lambda: edge.request("/").status == 200, "new workers answer")
        for number in range(20):
            chat.send(str(number))
            assert chat.recv(PATIENCE) == str(number)


def workers(edge: Edge) -> set[str]:
    """The process ids of nginx's workers, ending ones included."""
    master = edge.running["nginx"].pid
    return set(Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split())


def test_nothing_of_the_edge_runs_as_root(edge: Edge) -> None:
    """nginx and mtail belong to the edge's user, master included."""
    pids = {*workers(edge), str(edge.running["nginx"].pid), str(edge.running["mtail"].pid)}
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        [uids] = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
        assert "0" not in uids


def test_nginx_t_is_clean(edge: Edge) -> None:
    """`nginx -t` accepts the rendered configuration without a warning, and refuses a broken one."""
    said = check(edge.values)
    assert said.returncode == 0
    assert "warn" not in said.stderr
