"""Tokens, passwords and messages stand nowhere but where they belong, whatever happens to them on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stack import health
from tests.canary import word
from tests.patience import until
from tests.socket.server import Client
from tests.stack.conftest import NewStack
from tests.stack.running import RunningStack
from tests.stack.test_faults_crowd import restarted
from tests.stack.through import Through

SETTINGS = {"PORTCULLIS_STORE_TIMEOUT_SECONDS": "1", "PORTCULLIS_SIGN_INS_PER_ADDRESS_PER_MINUTE": "100"}
ALLOWED = ("venv", "uv", "data", "secrets")
"""Where a message or a key may stand, and what was installed."""


TOKEN, MESSAGE, PASSWORD = word("token"), word("message"), word("password")


def signature(token: str) -> str:
    """The part of a token that makes it worth stealing."""
    return token.rpartition(".")[2]


async def talk(client: Client, said: list[str]) -> None:
    """Posts of every outcome, and frames that mean nothing."""
    await client.join()
    assert (await client.post(MESSAGE))["type"] == "ack"
    for frame in (
        f'{{"type":"post","room":"elsewhere","message":"{MESSAGE}","id":"a"}}',
        f'{{"type":"post","room":"lobby","message":"{MESSAGE * 30}","id":"b"}}',
        f'{{"type":"post","room":"lobby","message":{{"deep":"{MESSAGE}"}},"id":"c"}}',
        f'{{"type":"post","room":"lobby","room":"{MESSAGE}","message":"{MESSAGE}"}}',
        f'{{"type":"post","message":"{MESSAGE}"',
        f'{{"type":"refresh","token":"{TOKEN}","id":"d"}}',
        f'"{MESSAGE}"',
    ):
        await client.socket.send(frame)
    await client.socket.send(MESSAGE.encode())
    for _ in range(8):
        said.append(str(await client.until(type="error")))


async def knock(through: Through, valid: str, expired: str) -> None:
    """Handshakes with every kind of token in every place that takes one."""
    for token in (TOKEN, valid, expired):
        for options in (
            {"query": f"?token={token}"},
            {"query": f"?token={token}&token={token}"},
            {"subprotocols": ("chat.v1", f"bearer.{token}")},
            {"subprotocols": (f"bearer.{token}",)},
            {"headers": {"Cookie": f"__Host-session={token}", "Origin": through.stack.url}},
            {"headers": {"Authorization": f"Basic {token}", "Referer": f"https://x/?{token}", "User-Agent": token}},
            {"headers": {"Authorization": f"Bearer {token}"}},
        ):
            await through.open(None, address=f"127.0.1.{secrets.randbelow(200) + 1}", **options)


def ask(through: Through) -> None:
    """Requests of every outcome, and some that are none."""
    for name in ("alice", PASSWORD[:20]):
        for body in (
            {"name": name, "password": PASSWORD},
            {"name": name, "password": PASSWORD, "new_password": PASSWORD},
            {"name": name, "password": [PASSWORD]},
            {"name": name, "password": "x", "unknown": TOKEN},
        ):
            through.ask("POST", "/api/session", body, address="127.0.2.1")
    cookie = f"__Host-session={TOKEN}"
    for path in ("/api/session", "/api/sessions", "/api/tokens", "/api/tickets", "/ready", "/ws/chat", "/nothing"):
        through.ask("GET", f"{path}?token={TOKEN}", address="127.0.2.2", Cookie=cookie, Authorization=f"Bearer {TOKEN}")
        through.ask("POST", f"{path}%3Ftoken={TOKEN}", {"token": TOKEN}, address="127.0.2.3", Cookie=cookie)
    for line in (f"GET /?token={TOKEN} HTTP/9.9", f"GET /?token={TOKEN}\0 HTTP/1.1", f"{TOKEN} / HTTP/1.1", TOKEN):
        through.raw(f"{line}\r\nHost: {through.host}\r\nCookie: {TOKEN}\r\n\r\n", "127.0.2.4")
    through.raw(f"GET /?token={TOKEN} HTTP/1.1\r\nHost: evil.example\r\n\r\n", "127.0.2.4")
    through.ask("POST", "/api/session", {"name": "alice", "password": PASSWORD * 3_000}, address="127.0.2.4")


async def storm(through: Through) -> None:
    """More handshakes than app and edge let through."""
    reasons = {await through.refused(None, address="127.0.3.1", query=f"?token={TOKEN}") for _ in range(60)}
    assert {"token_invalid", "ip_rate", "edge_rate"} <= reasons


@contextlib.contextmanager
def database(stack: RunningStack) -> Iterator[sqlite3.Connection]:
    """The store, opened beside the running app."""
    with contextlib.closing(sqlite3.connect(stack.state / "data" / "chat.db", isolation_level=None)) as found:
        yield found


async def fail(through: Through, client: Client, valid: str) -> list[str]:
    """A locked store, and exceptions inside the app: what the client was told."""
    said = []
    with database(through.stack) as other:
        other.execute("BEGIN IMMEDIATE")
        said.append(str(await client.post(MESSAGE)))
        other.execute("ROLLBACK")
        for table in ("events", "accounts"):
            other.execute(f"ALTER TABLE {table} RENAME TO hidden")
            said.append(str(await client.post(MESSAGE)))
            answer = through.ask("POST", "/api/session", {"name": "alice", "password": PASSWORD}, address="127.0.4.1")
            assert table == "events" or b'"internal"' in answer
            with contextlib.suppress(Exception):
                await through.open(valid, address="127.0.4.2", query=f"?token={TOKEN}")
            other.execute(f"ALTER TABLE hidden RENAME TO {table}")
    assert sum("busy" in answer for answer in said) == 2, said
    return said


async def stop_app(through: Through) -> None:
    """The same requests while nothing is behind the edge."""
    stack = through.stack
    old = stack.pid("app")
    os.kill(old, signal.SIGKILL)
    answers = [
        through.ask(
            "POST", f"/api/session?token={TOKEN}", {"name": "alice", "password": PASSWORD}, address="127.0.5.1"
        ),
        through.ask("GET", f"/ws/chat?token={TOKEN}", address="127.0.5.1", Authorization=f"Bearer {TOKEN}"),
    ]
    assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers), answers
    await asyncio.to_thread(until, partial(restarted, stack, "app", old), "the app is started again")
    await asyncio.to_thread(until, lambda: health.unready(stack.place) is None, "the app is ready again")


def written(stack: RunningStack) -> dict[str, bytes]:
    """What the stack has written down or shows: its files but for store and secrets, and its processes' own words."""
    found = {}
    for path in stack.state.rglob("*"):
        if path.relative_to(stack.state).parts[0] not in ALLOWED and path.is_file():
            found[str(path)] = path.read_bytes()
    for one in stack.processes():
        for name in ("cmdline", "environ"):
            found[f"{one} {name}"] = Path(f"/proc/{one.pid}/{name}").read_bytes()
    return found


async def test_no_canary_in_any_log_metric_or_error(another: NewStack) -> None:
    """After every outcome that a request, a handshake and a frame can have, failing and absent app included."""
    with another(SETTINGS) as stack:
        stack.up()
        through, said = Through(stack), list[str]()
        password = stack.user("alice")
        valid = await stack.mint("alice", 250)
        expired = await stack.mint("alice", -60)
        cookie = signed_in(through, password)
        client = await through.connect(None, headers={"Cookie": cookie, "Origin": stack.url})
        await talk(client, said)
        await knock(through, valid, expired)
        await asyncio.to_thread(ask, through)
        await storm(through)
        said += await fail(through, client, valid)
        await stop_app(through)
        shown = {**written(stack), "metrics": stack.metrics().encode()}
        shown |= {f"answer {number}": body for number, body in enumerate(through.bodies)}
        shown |= {f"frame {number}": frame.encode() for number, frame in enumerate(said)}
        canaries = [TOKEN, MESSAGE, PASSWORD, password, signature(valid), signature(expired), cookie.partition("=")[2]]
        leaks = {(where, canary) for where, text in shown.items() for canary in canaries if canary.encode() in text}
        assert not leaks
        logs = {path.name for path in (stack.state / "logs").rglob("*") if path.is_file()}
        assert {"app.log", "supervisor.log", "edge-access.log", "edge-error.log"} <= logs
        assert b"posts_not_stored" in shown[next(name for name in shown if name.endswith("/app.log"))]


def signed_in(through: Through, password: str) -> str:
    """The cookie of a session, as the Cookie header carries it."""
    answer = through.ask("POST", "/api/session", {"name": "alice", "password": password}, address="127.0.6.1")
    assert answer.startswith(b"HTTP/1.1 200"), answer
    through.bodies.remove(answer)
    line: Any = next(line for line in answer.decode().splitlines() if line.lower().startswith("set-cookie:"))
    return str(line.partition(":")[2].partition(";")[0].strip())
