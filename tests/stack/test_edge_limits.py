"""What the edge refuses, in which words, and that mtail counts exactly that."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from nginx.rotate import SETTLED_SECONDS, follow, rotate
from tests.patience import PATIENCE, SCALE, until
from tests.stack.edge import Edge, running

HEADER_SECONDS = 1
CANARY = "canary-7f3a9c51-token"


@pytest.fixture
def edge() -> Iterator[Edge]:
    """An edge with small limits."""
    with running(
        handshake_per_minute=6,
        handshake_burst=3,
        address_connections=2,
        api_per_minute=6,
        api_burst=5,
        header_seconds=HEADER_SECONDS,
        body_seconds=HEADER_SECONDS,
    ) as started:
        yield started


def settled(edge: Edge, lines: int) -> None:
    """Wait until mtail has counted every one of the log's lines, and the log has as many as expected."""
    until(lambda: (len(edge.lines()), edge.answered()) == (lines, lines), f"{lines} lines logged and counted")


def test_handshake_rate_is_refused_as_json_and_counted(edge: Edge) -> None:
    """Beyond the burst a handshake gets 429 with reason and Retry-After; another address is not touched."""
    seen: Counter[int] = Counter()
    for _ in range(10):
        stream, status = edge.handshake()
        stream.close()
        seen[status] += 1
        # The place the socket took is free again when its end is logged.
        until(lambda: len(edge.lines()) == sum(seen.values()), "the handshake is logged")
    assert seen == {101: 4, 429: 6}
    refused = edge.request("/ws/chat")
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "10"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["reason"] == "edge_rate"
    assert refused.json()["retry_after"] == 10
    other, status = edge.handshake(source="127.0.0.2")
    other.close()
    assert status == 101
    settled(edge, 12)
    assert edge.rejected("edge_rate") == 7


def test_open_sockets_are_refused_as_json_and_counted(edge: Edge) -> None:
    """Beyond its number of open sockets an address gets 429, until it closes one."""
    with contextlib.ExitStack() as held:
        first = [held.enter_context(stream) for stream, status in (edge.handshake(), edge.handshake()) if status == 101]
        assert len(first) == 2
        refused = edge.request("/ws/chat")
        assert (refused.status, refused.json()["reason"]) == (429, "edge_connections")
        assert int(refused.headers["Retry-After"]) == refused.json()["retry_after"] > 0
        first[0].close()
        until(lambda: len(edge.lines()) == 2, "the closed socket is logged")
        stream, status = edge.handshake()
        held.enter_context(stream)
        assert status == 101
    settled(edge, 4)
    assert edge.rejected("edge_connections") == 1


def test_api_rate_is_looser_and_counted_apart(edge: Edge) -> None:
    """Requests to /api have a backstop of their own, with its own reason; the page has none."""
    statuses = Counter(edge.request("/api/session").status for _ in range(9))
    assert statuses == {200: 6, 429: 3}
    assert edge.request("/api/session").json()["reason"] == "edge_request_rate"
    assert {edge.request("/").status for _ in range(9)} == {200}
    settled(edge, 19)
    assert edge.rejected("edge_request_rate") == 4


def test_refusals_of_the_application_are_not_the_edges(edge: Edge) -> None:
    """A 429, 400, 413 or 503 of the application passes with its own body and is counted as no refusal of the edge."""
    for number, status in enumerate((429, 400, 413, 503)):
        answer = edge.request(f"/api/status/{status}", source=f"127.0.1.{number + 1}")
        assert answer.status == status
        assert answer.json()["path"] == f"/api/status/{status}"
    settled(edge, 4)
    assert not [name for name in edge.counters() or {} if name[0] == "edge_rejected_total"]


def test_large_body_is_refused_in_json(edge: Edge) -> None:
    """64 KiB pass, one byte more does not, declared or chunked."""
    assert edge.request("/api/x", "POST", body=b"x" * 65_536).json()["bytes"] == 65_536
    refused = edge.request("/api/x", "POST", body=b"x" * 65_537)
    assert (refused.status, refused.json()["reason"]) == (413, "body_too_large")
    with edge.connect() as stream:
        head = f"POST /api/x HTTP/1.1\r\nHost: {edge.host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        stream.sendall(head.encode() + b"10001\r\n" + b"x" * 65_537 + b"\r\n0\r\n\r\n")
        assert stream.recv(12) == b"HTTP/1.1 413"
    settled(edge, 3)
    assert edge.rejected("body_too_large") == 2


def dribble(stream: ssl.SSLSocket, text: bytes, ends: float) -> float:
    """Send a byte every tenth of a header time, for as long as the edge takes them; returns the seconds it took."""
    began, stream_open = time.monotonic(), True
    stream.settimeout(HEADER_SECONDS / 10)
    for byte in text:
        if not stream_open or time.monotonic() - began > ends:
            break
        with contextlib.suppress(TimeoutError):
            try:
                stream.sendall(bytes([byte]))
                stream_open = bool(stream.recv(1))
            except (ConnectionError, ssl.SSLError):
                stream_open = False
    assert not stream_open, "the edge still took bytes"
    return time.monotonic() - began


def test_dribbled_header_is_cut_off_and_counted(edge: Edge) -> None:
    """A header that comes byte by byte has the header time in all, not per byte."""
    with edge.connect() as stream:
        text = f"GET / HTTP/1.1\r\nHost: {edge.host}\r\nX-Slow: ".encode() + b"x" * 10_000
        took = dribble(stream, text, PATIENCE)
    assert HEADER_SECONDS * 0.9 <= took <= (HEADER_SECONDS + 2) * SCALE
    settled(edge, 1)
    assert edge.rejected("client_timeout") == 1


def test_stalled_handshake_and_body_are_cut_off(edge: Edge) -> None:
    """Neither a TLS handshake nor a body that stops holds a connection longer than its time."""
    began = time.monotonic()
    silent = socket.create_connection(("127.0.0.1", edge.values.https_port), PATIENCE)
    with silent, contextlib.suppress(ConnectionResetError):
        assert silent.recv(1) == b""
    with edge.connect() as stream, contextlib.suppress(ConnectionResetError):
        stream.sendall(f"POST /api/x HTTP/1.1\r\nHost: {edge.host}\r\nContent-Length: 9\r\n\r\nhalf".encode())
        assert stream.recv(1) == b""
    assert time.monotonic() - began <= (2 * HEADER_SECONDS + 3) * SCALE
    settled(edge, 1)
    assert edge.rejected("client_timeout") == 1


def test_dead_application_is_said_in_json_and_counted(edge: Edge) -> None:
    """With the application stopped, everything it would answer is 503 backend_down; back up, it answers again."""
    edge.stop("app")
    for path in ("/", "/api/session", "/ws/chat"):
        answer = edge.request(path)
        assert (answer.status, answer.json()["reason"]) == (503, "backend_down")
        assert int(answer.headers["Retry-After"]) == answer.json()["retry_after"]
    settled(edge, 3)
    assert edge.rejected("upstream_unavailable") == 3
    edge.start_app()
    assert edge.request("/").status == 200


def test_counts_are_exact_over_log_rotation() -> None:
    """Rotating the log under load loses no line and repeats none: counters equal what clients saw."""
    with running(api_per_minute=60, api_burst=1) as edge:
        enough = threading.Event()
        # One count for each thread: adding to a shared one is two steps, between which another thread may add.
        counts: dict[str, Counter[int]] = {f"127.0.2.{number}": Counter() for number in (1, 2, 3)}
        threads = [
            threading.Thread(target=ask_until, args=(edge, enough, seen, source)) for source, seen in counts.items()
        ]
        for thread in threads:
            thread.start()
        for turn in range(1, 6):
            target = len(edge.lines()) + 40
            until(lambda: len(edge.lines()) >= target, "requests go on")  # noqa: B023
            assert edge.rotate(), f"rotation {turn} is followed"
        enough.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        seen = sum(counts.values(), Counter())
        total = seen.total()
        assert seen[429] > 20
        kept = sum(1 for _ in (edge.values.state / "logs").glob("edge-access.log*"))
        assert kept == 5, "the newest and four older logs"
        until(lambda: edge.answered() >= total, "every request is counted")
        assert edge.answered() == total
        assert edge.rejected("edge_request_rate") == seen[429]


def test_log_is_not_left_while_somebody_writes_to_it(edge: Edge) -> None:
    """As long as lines come to the renamed log, however late, mtail stays with it, and counts them."""
    log = edge.values.state / "logs" / "edge-access.log"
    answers, late = [], 3

    def request() -> bool:
        answers.append(edge.request("/"))
        return log.stat().st_size > 0

    with log.open("a", encoding="utf-8") as slow_worker:
        assert not rotate(edge.values.state, patience=0.0)
        request()
        for number in range(late):
            assert not follow(edge.values.state, patience=SETTLED_SECONDS / 5)
            slow_worker.write(f'{{"status":"200","refusal":"","late":"{number}"}}\n')
            slow_worker.flush()
    until(request, "nginx opens the new log by itself")
    assert follow(edge.values.state, patience=PATIENCE)
    # Each is logged once it was answered: not at once.
    settled(edge, len(answers) + late)


def ask_until(edge: Edge, enough: threading.Event, seen: Counter[int], source: str) -> None:
    """Ask for the same page from one address until told to stop, and count the answers (one thread per address).

    Some thirty times a second: no log is without a request while it is rotated.
    """
    while not enough.wait(0.03):
        seen[edge.request("/api/session", source=source).status] += 1


def test_program_of_mtail_is_loaded(edge: Edge) -> None:
    """mtail goes on without a program that does not compile; ours does, and counts each line without an error."""
    edge.request("/")
    settled(edge, 1)
    text = edge.exposition()
    assert metric(text, "mtail_prog_load_errors_total") == 0
    assert metric(text, "mtail_prog_loads_total") == 1
    assert metric(text, "mtail_prog_runtime_errors_total") == 0


def metric(text: str, name: str) -> float:
    """The sum of a metric's samples; 0 when it has none."""
    return sum(
        float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))
    )


def test_client_cannot_write_a_refusal_into_the_log(edge: Edge) -> None:
    """A path made to look like another log line changes no counter but its own."""
    edge.request("/%22,%22refusal%22:%22edge_rate%22,%22/%0A%7B%22status%22:%22429%22,%22refusal%22:%22edge_rate%22,")
    settled(edge, 1)
    assert edge.counters() == {("edge_requests_total", "2"): 1}


def test_canary_reaches_no_log(edge: Edge) -> None:
    """A token in the query stands in no file of the edge: not answered, refused by rate, malformed, or app stopped."""
    for _ in range(6):
        edge.handshake(f"?token={CANARY}")[0].close()
    edge.request(f"/api/session%3Ftoken={CANARY}?token={CANARY}", headers={"Cookie": CANARY, "Authorization": CANARY})
    edge.request(f"/ready?token={CANARY}")
    for broken in (f"GET /ws/chat?token={CANARY} x HTTP/1.1", f"GET /?{CANARY}\0 HTTP/1.1", f"GET /?{CANARY} HTTP/7.0"):
        with edge.connect() as stream:
            stream.sendall(f"{broken}\r\nHost: {edge.host}\r\n\r\n".encode())
            stream.recv(1)
    edge.request(f"/?{CANARY}", headers={"Host": "localhost", "Referer": f"https://x/?{CANARY}"})
    edge.request("/api/x", "POST", body=CANARY.encode() * 3_000)
    with edge.connect() as stream, contextlib.suppress(ConnectionResetError):
        stream.sendall(f"GET /?{CANARY} HTTP/1.1\r\nHost: {edge.host}\r\nX-Slow: {CANARY}".encode())
        stream.recv(1)
    edge.stop("app")
    for path in ("/", "/api/session", "/ws/chat"):
        assert edge.request(f"{path}?token={CANARY}", source="127.0.0.3").status == 503
    settled(edge, 17)
    assert edge.rejected("edge_rate") > 0
    kept = [path for path in edge.values.state.rglob("*") if path.is_file()]
    assert {"edge-access.log", "edge-error.log", "nginx.log", "mtail.log"} <= {path.name for path in kept}
    assert not [path for path in kept if CANARY.encode() in path.read_bytes()]
    assert CANARY not in edge.exposition()


@pytest.fixture
def prefixes() -> Iterator[list[str]]:
    """Addresses of the documentation prefix that lead here: two of one /64, one of another.

    By a route and on no interface, since a browser takes another address of an interface for another network.
    """
    if os.geteuid() != 0:
        pytest.fail("only root can add a route: run this test as root")
    way = ["2001:db8:7::/48", "dev", "lo"]
    subprocess.run(["ip", "-6", "route", "replace", "local", *way], check=True)
    try:
        yield ["2001:db8:7:1::1", "2001:db8:7:1:ffff::a0a", "2001:db8:7:2::1"]
    finally:
        subprocess.run(["ip", "-6", "route", "del", "local", *way], check=True)


def test_ipv6_is_counted_per_64(edge: Edge, prefixes: list[str]) -> None:
    """Two addresses of one /64 share a limit; another /64, and the IPv4 clients, have their own."""
    one, two, other = prefixes
    with contextlib.ExitStack() as held:
        statuses = []
        for source, to in ((one, one), (two, one), (one, one), (other, one), ("127.0.0.1", "127.0.0.1")):
            stream, status = edge.handshake(source=source, to=to)
            held.enter_context(stream)
            statuses.append(status)
    assert statuses == [101, 101, 429, 101, 101]


def test_mapped_address_of_an_outer_proxy_counts_as_ipv4() -> None:
    """::ffff:a.b.c.d from an outer proxy is that IPv4 address for the limits, and one of many is not all of them."""
    with running(outer_proxies=("127.0.0.1",), api_per_minute=1, api_burst=1) as edge:
        claims = ["::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"]
        statuses = [edge.request("/api/session", headers={"X-Forwarded-For": claim}).status for claim in claims]
        assert statuses == [200, 200, 429, 200]


def test_metrics_answer_on_loopback_only(edge: Edge) -> None:
    """mtail listens on 127.0.0.1 and on no other address, not even another of loopback."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", edge.values.metrics_port), PATIENCE).close()
