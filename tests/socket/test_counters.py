"""After a mix of every refusal and throttle the counters are what the clients saw, per reason and limit."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.limiter import MESSAGE_LIMITS
from app.model import BanKind, UserName
from app.protocol import Invalid
from app.verdict import Reason
from tests.patience import until
from tests.socket.forger import Forger
from tests.socket.raw import BINARY, CLOSE, TEXT, Raw
from tests.socket.server import Client, Refused, Server, conforms, new_address, new_name, running

SETTINGS = {
    "connections_per_node": "25",
    "connections_per_address": "9",
    "connections_per_room": "8",
    "unacked_posts_per_connection": "3",
    "posts_per_room_per_second": "1",
    "posts_per_room_burst": "12",
    "changes_per_user_per_second": "0.1",
    "changes_per_user_burst": "4",
    "reads_per_user_per_second": "0.1",
    "reads_per_user_burst": "8",
    "rooms_per_user": "2",
    "drain_seconds": "3",
    "graceful_seconds": "4",
    "issuers": json.dumps(
        [{"issuer": "https://silent.example", "audience": "chat", "jwks_url": "http://127.0.0.1:9/"}]
    ),
}


class Tally:
    """What the clients of one server saw, in the names of its counters."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.seen: Counter[str] = Counter()

    async def open(self, token: str | None, **options: Any) -> Client | None:
        answer = await self.server.open(token, **{"address": new_address(), **options})
        if isinstance(answer, Refused):
            self.refused(answer.reason)
            return None
        self.seen["handshakes_total{verdict=accepted}"] += 1
        return answer

    async def connect(self) -> Client:
        """A new user's connection, which has to be accepted."""
        client = await self.open(await self.server.token(new_name()))
        assert client is not None
        return client

    def refused(self, reason: str) -> None:
        self.seen[f"handshakes_rejected_total{{reason={reason}}}"] += 1
        self.seen["handshakes_total{verdict=refused}"] += 1

    async def knock(self, **changes: str | None) -> None:
        raw = await Raw.open(self.server)
        fields = {name.replace("_", "-"): value for name, value in changes.items()}
        self.refused((await raw.handshake({"X-Real-IP": new_address(), **fields})).reason)

    def frame(self, frame: dict[str, Any], sent_post: bool) -> None:
        """One answer to one frame."""
        outcome = "accepted"
        if frame["type"] == "error":
            limit = frame.get("limit")
            words = {"not_joined": "refused", "busy": "busy"}
            outcome = "throttled" if limit else words.get(frame["code"], "invalid")
            if limit:
                self.seen[f"messages_throttled_total{{limit={limit}}}"] += 1
        if sent_post or outcome == "invalid":
            self.seen[f"messages_total{{outcome={outcome}}}"] += 1

    def invalid(self, reason: Invalid) -> None:
        self.seen[f"messages_invalid_total{{reason={reason}}}"] += 1

    async def close(self, client: Client) -> None:
        await client.socket.close()
        self.seen["closes_total{code=1000}"] += 1

    def closed(self, code: int) -> None:
        self.seen[f"closes_total{{code={code}}}"] += 1

    def agree(self) -> None:
        """The server's counters are the tally, once the last close is counted."""
        kept = ("handshakes", "messages_", "closes")

        def same() -> bool:
            return {n: c for n, c in self.server.counts().items() if n.startswith(kept)} == self.seen

        try:
            until(same, "the counters equal what was seen", 5)
        except AssertionError:
            counted = {n: c for n, c in self.server.counts().items() if n.startswith(kept)}
            assert counted == dict(self.seen)


async def _refusals(tally: Tally) -> None:
    """Each reason that needs no full house."""
    server, name = tally.server, new_name()
    forger = Forger(server, await server.account(name))
    good, by = forger.token(), UserName(name)
    await tally.knock(Host="evil.example")
    await tally.knock(Sec_WebSocket_Version="8")
    await tally.knock(Connection=None)
    await tally.knock(X_Real_IP=None)
    await tally.knock(Origin="https://evil.example")
    await tally.knock(Sec_WebSocket_Protocol="chat.v9")
    address = new_address()
    for _ in range(12):
        await tally.open(None, address=address)
    await tally.open("garbled")
    await tally.open(forger.token(exp=1))
    await tally.open(None, path=f"/ws/chat?token={forger.token(exp=4_000_000_000)}")
    ticket = json.loads(
        server.get("/api/tickets", method="POST", headers={"Authorization": f"Bearer {good}"}, address=new_address())[2]
    )["ticket"]
    client = await tally.open(None, path=f"/ws/chat?token={ticket}")
    assert client is not None
    await tally.close(client)
    await tally.open(None, path=f"/ws/chat?token={ticket}")
    await tally.open(forger.token(iss="https://silent.example", aud="chat"))
    async with server.store() as store:
        revoked = forger.token(jti="gone")
        await store.revoke_token("gone", 4_000_000_000)
        await tally.open(revoked)
        await store.set_disabled(by, True)
        await tally.open(good)
        await store.set_disabled(by, False)
        ban = await store.add_ban(BanKind.USER, name, None, "test", by)
        await tally.open(good)
        await store.lift_ban(ban.id)
        await store.add_ban(BanKind.ADDRESS, "198.51.100.1", None, "test", by)
        await tally.open(good, address="198.51.100.1")


async def _full_houses(tally: Tally) -> None:
    """Users, an address and the node."""
    server, address = tally.server, new_address()
    opened: list[Client] = []
    for number in range(4):
        token = await server.token(new_name())
        for index in range(6):
            place = address if number < 2 and index < 5 else new_address()
            client = await tally.open(token, address=place)
            opened += [client] if client else []
    assert len(opened) == 20
    token = await server.token(new_name())
    for _ in range(6):
        client = await tally.open(token)
        opened += [client] if client else []
    assert len(opened) == 25
    await tally.open(await server.token(new_name()))
    for client in opened:
        await tally.close(client)


BAD: dict[Invalid, str | bytes] = {
    Invalid.BINARY: b"x",
    Invalid.NOT_JSON: "x",
    Invalid.TOO_DEEP: "[" * 5000,
    Invalid.DUPLICATE_KEY: '{"a":1,"a":1}',
    Invalid.NOT_OBJECT: "[]",
    Invalid.UNKNOWN_TYPE: '{"type":"x"}',
    Invalid.UNKNOWN_FIELD: '{"type":"ping","x":1}',
    Invalid.MISSING_FIELD: "{}",
    Invalid.WRONG_TYPE: '{"type":"ping","id":1}',
    Invalid.NOT_UNICODE: '{"type":"post","room":"lobby","message":"\\ud800"}',
    Invalid.CONTROL_CHARACTER: '{"type":"post","room":"lobby","message":"\\u0000"}',
    Invalid.BLANK: '{"type":"post","room":"lobby","message":" "}',
    Invalid.TOO_LONG: json.dumps({"type": "post", "room": "lobby", "message": "a" * 501}),
}


async def _malformed(tally: Tally) -> None:
    """Every reason once, then the connection that has had enough."""
    assert set(BAD) == set(Invalid)
    kinds = list(BAD)
    for group in (kinds[:7], kinds[7:]):
        client = await tally.connect()
        for reason in group:
            await client.socket.send(BAD[reason])
            tally.frame(await client.until(type="error"), sent_post=False)
            tally.invalid(reason)
        await tally.close(client)
    raw = await _raw(tally)
    for _ in range(11):
        raw.frame(BINARY, b"x")
        tally.invalid(Invalid.BINARY)
    tally.seen["messages_total{outcome=invalid}"] += 11
    assert (await raw.closed())[0] == 4505
    tally.closed(4505)


async def _raw(tally: Tally) -> Raw:
    raw = await Raw.open(tally.server)
    await raw.connect(await tally.server.token(new_name()), new_address())
    tally.seen["handshakes_total{verdict=accepted}"] += 1
    return raw


async def _throttles(tally: Tally) -> None:
    """Each limit of messages, then a flood and its cool-down."""
    server = tally.server
    clients = [await tally.connect() for _ in range(4)]
    tally.frame(await clients[0].post("hi"), sent_post=True)
    for client in clients:
        await client.join()
        for _ in range(7):
            tally.frame(await client.post("hi"), sent_post=True)
    lock = sqlite3.connect(server.state / "data/chat.db", isolation_level=None)
    slow = await tally.connect()
    await slow.join()
    while (answer := await slow.post("hi"))["type"] == "error":
        tally.frame(answer, sent_post=True)
        await asyncio.sleep(answer["retry_after"] + 3.2)
    tally.frame(answer, sent_post=True)
    lock.execute("BEGIN IMMEDIATE")
    for number in range(4):
        await slow.send(type="post", room="lobby", message="hi", id=f"s{number}")
    tally.frame(await slow.until(id="s3"), sent_post=True)
    lock.execute("ROLLBACK")
    lock.close()
    for number in range(3):
        tally.frame(await slow.until(id=f"s{number}"), sent_post=True)
    inside = [await tally.connect() for _ in range(4)]
    for client in inside:
        await client.send(type="join", room="lobby", id="j")
        answer = await client.until(id="j")
        if answer["type"] == "error":
            tally.frame(answer, sent_post=False)
    await slow.socket.send(json.dumps({"type": "ping"}).ljust(16_384))
    for _ in range(5):
        await slow.socket.send(json.dumps({"type": "ping", "id": "b"}).ljust(16_384))
        tally.frame(await slow.until(id="b"), sent_post=False)
    for client in (*clients, slow, *inside):
        await tally.close(client)


async def _rooms(tally: Tally) -> None:
    """The limits that only rooms have."""
    owner, member, reader = [await tally.connect() for _ in range(3)]
    await owner.send(type="create", title="Slow", public=True, id="c")
    room = (await owner.until(id="c"))["room"]
    for number, fields in enumerate(
        (
            {"type": "configure", "room": room, "slow_seconds": 60.0},
            {"type": "create", "title": "Second"},
            {"type": "create", "title": "Third"},
            {"type": "create", "title": "Fourth"},
        )
    ):
        await owner.send(**fields, id=f"c{number}")
        tally.frame(await owner.until(id=f"c{number}"), sent_post=False)
    await member.join(room)
    for _ in range(2):
        tally.frame(await member.post("hi", room), sent_post=True)
    for _ in range(9):
        await reader.send(type="rooms", id="r")
        tally.frame(await reader.until(id="r"), sent_post=False)
    for client in (owner, member, reader):
        await tally.close(client)


async def _flood(tally: Tally) -> None:
    name, raw = new_name(), await Raw.open(tally.server)
    token = await tally.server.token(name)
    await raw.connect(token, new_address())
    tally.seen["handshakes_total{verdict=accepted}"] += 1
    for _ in range(60):
        raw.frame(TEXT, b'{"type":"ping"}')
    throttled = 0
    while (frame := await raw.read())[0] != CLOSE:
        answer = conforms(frame[1], tutorial=False)
        throttled += answer["type"] == "error"
    tally.seen["messages_throttled_total{limit=frames_per_connection}"] += throttled
    tally.closed(4500)
    await tally.open(token)


async def test_counters_equal_what_clients_saw(tmp_path: Path) -> None:
    """Every reason, every kind of bad frame, every limit: nothing is missing and nothing is counted twice."""
    with running(tmp_path, **SETTINGS) as server:
        tally = Tally(server)
        for act in (_refusals, _full_houses, _malformed, _throttles, _rooms, _flood):
            await act(tally)
            tally.agree()
        held = await tally.connect()
        assert server.process is not None
        server.process.terminate()
        until(lambda: server.get("/ready", private=True)[0] == 503, "draining")
        await tally.open(None)
        counts = server.counts()
        assert counts["handshakes_rejected_total{reason=draining}"] == 1
        assert counts["drains_total{}"] == 1
        for reason in Reason:
            name = f"handshakes_rejected_total{{reason={reason}}}"
            assert tally.seen[name] >= 1, reason
            assert counts[name] == tally.seen[name]
        for limit in MESSAGE_LIMITS:
            assert tally.seen[f"messages_throttled_total{{limit={limit}}}"] >= 1, limit
        assert await held.closed() == (1012, "restart")


@pytest.mark.parametrize("path", ["/metrics", "/live", "/ready"])
def test_private_routes_are_private(usual: Server, path: str) -> None:
    """The public listener does not know them; the private one knows nothing else."""
    assert usual.get(path)[0] == 404
    assert usual.get(path, private=True)[0] == 200
    assert usual.get(path, private=True, method="POST")[0] == 404
    assert usual.get("/api/session", private=True)[0] == 404


def test_labels_come_from_closed_sets(usual: Server) -> None:
    """No user, room, address or token is in the exposition, whatever was tried."""
    text = usual.get("/metrics", private=True)[2].decode()
    assert "lobby" not in text and "user1" not in text and "10.0.0." not in text and "eyJ" not in text
