"""Getting in, staying in and coming back: credentials, hints, terminal refusals and dead peers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import socket
import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from certs.authority import ensure
from client import Api, Backoff, Client, Connected, Disconnected, Ended, Refreshed, Rejected, SignIn, Ticket, Token
from client.api import seconds
from client.pace import Pace
from tests.patience import until
from tests.unit.scripted import scripted


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "host_unknown"),
        (401, "token_invalid"),
        (401, "token_revoked"),
        (401, "token_expired"),
        (403, "account_banned"),
        (404, "not_found"),
    ],
)
async def test_a_refusal_for_good_ends_the_client_with_its_reason(status: int, reason: str) -> None:
    """Opening raises, so does everything else from then on; there is no second handshake."""
    async with scripted() as script:
        script.refuse(status, reason)
        client = script.client()
        with pytest.raises(Ended) as ended:
            await client.open()
        assert ended.value.reason == reason
        for ask in (client.join("lobby"), client.rooms(), anext(client)):
            with pytest.raises(Ended):
                await ask
        await client.close()
        assert len(script.requests) == 1


async def test_a_passing_refusal_is_waited_out_as_its_hint_says() -> None:
    """The body's retry_after, else the header's; without either the backoff. A proxy's page is no problem body."""
    async with scripted() as script:
        script.refuse(503, "draining", {"Retry-After": "9"}, retry_after=0.2)
        script.refuse(429, "ip_rate", {"Retry-After": "1"})
        script.refusals.append((502, {}, {}))
        began = time.monotonic()
        async with script.client():
            assert time.monotonic() - began >= 1.2
        (first, second, third) = script.waits()
        assert (first, second) == (("draining", 0.2), ("ip_rate", 1.0))
        assert third[0] == "http_502" and third[1] <= 0.04


async def test_nobody_listening_is_no_reason_to_give_up() -> None:
    """It goes on until somebody does."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        notices: list[Any] = []
        client = Client(
            f"ws://127.0.0.1:{taken.getsockname()[1]}", Token("t"), notify=notices.append, backoff=Backoff(0.01, 0.01)
        )
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.open()
    assert {one.reason for one in notices} == {"unreachable"} and len(notices) > 3


@pytest.mark.parametrize("code", [4500, 4501, 4502, 4503, 4504, 4505, 4999])
async def test_a_terminal_close_is_final(code: int) -> None:
    """What waits and the iteration raise Ended with the close frame's word."""
    async with scripted() as script, script.client() as client:
        peer = await script.peer()
        asking = asyncio.create_task(client.rooms())
        await peer.expect(type="rooms")
        await peer.socket.close(code, "word")
        for ask in (asking, anext(client)):
            with pytest.raises(Ended) as ended:
                await ask
            assert ended.value.reason == "word"
        assert script.waits() == []


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 4000, 4001, 4499])
async def test_other_closes_are_come_back_from(code: int) -> None:
    """After a backoff."""
    async with scripted() as script, script.client():
        await (await script.peer()).socket.close(code, "word")
        await script.peer()
        assert [reason for reason, _ in script.waits()] == ["word"]


async def test_going_away_says_when_to_come_back() -> None:
    """Not before `retry_after`, however short the backoff; until the close everything goes on."""
    async with scripted() as script, script.client() as client:
        peer = await script.peer()
        await peer.send(type="going_away", retry_after=0.4)
        pinging = asyncio.create_task(client.ping())
        await peer.ack(await peer.expect(type="ping"))
        await pinging
        began = time.monotonic()
        await peer.socket.close(1012, "restart")
        await script.peer()
        assert time.monotonic() - began >= 0.4
        assert script.waits() == [("restart", 0.4)]
        await asyncio.to_thread(until, lambda: Connected(again=True) in script.notices, "the caller is told")


async def test_the_next_reader_finds_a_clean_end_after_close() -> None:
    """The server gets 1000, the iteration stops, what waits raises `closed`; closing twice is fine."""
    async with scripted() as script:
        client = script.client()
        async with client:
            peer = await script.peer()
            waiting = asyncio.create_task(client.ping())
            await peer.expect(type="ping")
        assert await peer.closed() == 1000
        with pytest.raises(Ended, match="closed"):
            await waiting
        assert [event async for event in client] == []
        await client.close()


async def test_a_fresh_token_is_asked_for_each_connection() -> None:
    """Also after `token_expired`; a source that gives the same again has none that helps."""
    tokens = iter(["one", "two", "two", "two"])
    async with scripted() as script:
        script.refuse(401, "token_expired")
        async with script.client(Token(lambda: next(tokens))) as client:
            peer = await script.peer()
            script.refuse(401, "token_expired")
            peer.cut()
            with pytest.raises(Ended, match="token_expired"):
                await anext(client)
        sent = [request.headers["Authorization"] for request in script.requests]
        assert sent == ["Bearer one", "Bearer two", "Bearer two"]


async def test_a_connection_goes_on_with_a_fresh_token() -> None:
    """`expiring` is answered by `refresh`; a refused one by another."""
    tokens = iter(["one", "two", "three", "four"])
    async with scripted() as script, script.client(Token(lambda: next(tokens))):
        peer = await script.peer()
        await peer.send(type="expiring", expires_at=time.time() + 60)
        frame = await peer.expect(type="refresh", token="two")
        assert peer.parsed(frame)
        await peer.refuse(frame, "token_expired")
        await peer.send(type="ack", id=(await peer.expect(type="refresh", token="three"))["id"], expires_at=99.0)
        await peer.send(type="going_away", retry_after=0.01)
        peer.cut()
        await script.peer()
        assert Refreshed(99.0) in script.notices


async def test_a_token_that_cannot_be_renewed_runs_out() -> None:
    """No refresh, then 4001, then the handshake's own word."""
    async with scripted() as script, script.client(Token("t")) as client:
        peer = await script.peer()
        await peer.send(type="expiring", expires_at=1.0)
        script.refuse(401, "token_expired")
        await peer.socket.close(4001, "credential_expired")
        with pytest.raises(Ended, match="token_expired"):
            await anext(client)


class Http(BaseHTTPRequestHandler):
    """Sessions and tickets as the API hands them out, counted."""

    asked: list[tuple[str, str, dict[str, str], Any]]
    refusals: list[tuple[int, dict[str, Any]]]

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        self.asked.append((self.command, self.path, dict(self.headers), body))
        count = sum(path == self.path for _, path, *_ in self.asked)
        status, answer = self.refusals.pop(0) if self.refusals else (200, {"ticket": f"ticket{count}"})
        self.send_response(status)
        if self.path == "/api/session":
            self.send_header("Set-Cookie", f"__Host-session=s{count}; Path=/; Secure; HttpOnly")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_DELETE = do_POST  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def http() -> Iterator[tuple[type[Http], Api]]:
    Own = type("Own", (Http,), {"asked": [], "refusals": []})  # noqa: N806
    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    Thread(target=server.serve_forever, args=(0.01,)).start()
    try:
        yield Own, Api(f"http://127.0.0.1:{server.server_port}", origin="https://chat.example.org")
    finally:
        server.shutdown()
        server.server_close()


async def test_signing_in_keeps_its_cookie_until_it_has_expired(http: tuple[type[Http], Api]) -> None:
    """One session over many handshakes, each with the Origin; a new one for a refresh; signed out at the end."""
    seen, api = http
    credential = SignIn("alice", lambda: "correct horse")
    first = await credential.proof(api)
    assert first.headers == {"Cookie": "__Host-session=s1", "Origin": "https://chat.example.org"}
    assert (await credential.proof(api)).headers == first.headers
    credential.expired()
    assert (await credential.proof(api)).headers["Cookie"] == "__Host-session=s2"
    assert await credential.fresh(api) == "ticket1"
    assert credential.user() == "alice"
    await credential.close(api)
    method, path, headers, _ = seen.asked[-1]
    assert (method, path, headers["Cookie"]) == ("DELETE", "/api/session", "__Host-session=s3")
    assert seen.asked[0][3] == {"name": "alice", "password": "correct horse"}
    assert seen.asked[0][2]["Origin"] == "https://chat.example.org"
    assert "s1" not in repr(first)


async def test_a_ticket_is_new_for_each_handshake(http: tuple[type[Http], Api]) -> None:
    """It is got with its parent's proof, and renewed when its parent is."""
    _, api = http
    token = "e30." + base64.urlsafe_b64encode(b'{"sub": "alice"}').decode().rstrip("=") + ".x"
    credential = Ticket(Token(token))
    assert [(await credential.proof(api)).query for _ in range(2)] == ["?token=ticket1", "?token=ticket2"]
    assert (credential.user(), credential.renews, Ticket(SignIn("a", "b")).renews) == ("alice", False, True)
    assert Token("opaque").user() is None


async def test_a_refused_sign_in_says_why(http: tuple[type[Http], Api]) -> None:
    """As typed exceptions: wrong for good, throttled for a while."""
    seen, api = http
    throttled = {"reason": "rate_limited", "retry_after": 7, "request_id": "5f2b"}
    seen.refusals.extend([(401, {"reason": "credentials_wrong"}), (429, throttled)])
    for reason, lasting, wait, text in (
        ("credentials_wrong", True, None, "401 credentials_wrong"),
        ("rate_limited", False, 7.0, "429 rate_limited (request 5f2b)"),
    ):
        with pytest.raises(Rejected) as rejected:
            await SignIn("alice", "x").proof(api)
        assert (rejected.value.reason, rejected.value.retry_after) == (reason, wait)
        assert (str(rejected.value), rejected.value.lasting(renews=True)) == (text, lasting)


async def test_a_certificate_that_is_not_trusted_ends_it(tmp_path: Path) -> None:
    """Coming again would not change it."""
    ensure(tmp_path, ("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted, contextlib.suppress(OSError), context.wrap_socket(accepted, server_side=True):
                pass

        serving = asyncio.create_task(asyncio.to_thread(serve))
        client = Client(f"https://localhost:{listening.getsockname()[1]}", Token("t"), host="127.0.0.1")
        with pytest.raises(Ended, match="certificate_invalid"):
            await client.open()
        await serving


def test_the_backoff_is_jittered_bounded_and_never_shorter_than_the_hint() -> None:
    """Full jitter below a ceiling that doubles up to the longest; a reset begins anew."""
    ceilings: list[float] = []

    def highest(low: float, high: float) -> float:
        ceilings.append(high)
        return high

    backoff = Backoff(1.0, 30.0, highest)
    assert [backoff.delay() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert (backoff.delay(45.0), backoff.delay(3.0)) == (45.0, 30.0)
    backoff.reset()
    assert backoff.delay() == 1
    dice = Backoff(1.0, 30.0, random.Random(7).uniform)  # noqa: S311
    waits = [dice.delay() for _ in range(1000)]
    assert 0 <= min(waits) < 1 and 29 < max(waits) <= 30


def test_the_pace_is_a_burst_then_a_rate_and_a_pause_stops_it() -> None:
    """By an injected clock."""
    now = 0.0
    pace = Pace(10.0, 3.0, lambda: now)
    for _ in range(3):
        assert pace.wait() == 0
        pace._tokens -= 1
    assert pace.wait() == pytest.approx(0.1)
    now = 0.1
    assert pace.wait() == pytest.approx(0)
    pace.pause(5.0)
    assert pace.wait() >= 5.0
    now = 5.2
    assert pace.wait() == 0


@pytest.mark.parametrize("url", ["ftp://x", "https://user@x", "https://x/page", "https://", "localhost:8443"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """At once, with a sentence."""
    with pytest.raises(ValueError, match="address"):
        Api(url)


def test_addresses_in_all_their_forms() -> None:
    """The page's and the socket's own mean the same server."""
    for url in (
        "https://chat.example.org:8443",
        "https://chat.example.org:8443/",
        "wss://chat.example.org:8443/ws/chat",
    ):
        api = Api(url)
        assert api.socket_url == "wss://chat.example.org:8443/ws/chat"
        assert api.origin == "https://chat.example.org:8443"
    given: list[Any] = ["1.5", 2, None, "soon", "inf", -1, []]
    assert list(map(seconds, given)) == [1.5, 2.0, *[None] * 5]


def test_what_is_told_says_no_secret() -> None:
    """Neither a proof nor a notice shows a credential."""
    assert "secret" not in repr(Token("secret")) + repr(SignIn("a", "secret")) + repr(Disconnected("lost", 1.0))
