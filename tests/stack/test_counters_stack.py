"""After a mix of every refusal that clients can bring about, the counters are what the clients saw, edge included."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from stack import exposition
from tests.monitoring.series import of_edge
from tests.patience import until
from tests.socket.server import Client
from tests.stack.running import RunningStack
from tests.stack.through import Through

COUNTED = (
    "chat_handshakes_total",
    "chat_handshakes_rejected_total",
    "chat_messages_total",
    "chat_messages_throttled_total",
    "chat_messages_invalid_total",
    "chat_closes_total",
    "edge_rejected_total",
)
ACCEPTED = 'chat_handshakes_total{verdict="accepted"}'
Seen = Counter[str]


def counters(stack: RunningStack) -> Seen:
    """Every series of these families that is not 0."""
    found: Seen = Counter()
    for family in exposition.families(stack.metrics()).values():
        for series, line in family.samples.items():
            if series.partition("{")[0] in COUNTED and (value := float(line.removeprefix(series).split()[0])):
                found[series] = int(value)
    return found


async def knock(through: Through, seen: Seen, token: str | None, times: int = 1, **options: object) -> None:
    """Refused handshakes, counted by who refused them and why."""
    for _ in range(times):
        reason = await through.refused(token, **options)
        if reason.startswith("edge_"):
            seen[f'edge_rejected_total{{reason="{reason}"}}'] += 1
        else:
            seen['chat_handshakes_total{verdict="refused"}'] += 1
            seen[f'chat_handshakes_rejected_total{{reason="{reason}"}}'] += 1


async def enter(through: Through, seen: Seen, token: str, **options: str) -> Client:
    """An accepted handshake."""
    seen[ACCEPTED] += 1
    return await through.connect(token, **options)


async def refusals(through: Through, seen: Seen) -> None:
    """Each handshake for another reason, and each from an address of its own."""
    alice, expired = [await through.stack.mint("alice-counted", seconds) for seconds in (3600, -60)]
    ticket = json.loads(
        through.ask("POST", "/api/tickets", address="127.0.8.1", Authorization=f"Bearer {alice}").rpartition(b"\r\n")[2]
    )["ticket"]
    await knock(through, seen, None, 2, address="127.0.8.2")
    await knock(through, seen, "garbage", 3, address="127.0.8.3")
    await knock(through, seen, expired, address="127.0.8.4")
    await knock(through, seen, None, address="127.0.8.5", query="?token=garbage")
    await knock(through, seen, alice, 2, address="127.0.8.6", headers={"Origin": "https://evil.example"})
    await knock(through, seen, alice, address="127.0.8.7", subprotocols=("soap",))
    await (await enter(through, seen, ticket, address="127.0.8.8")).socket.close()
    await knock(through, seen, ticket, address="127.0.8.8")
    seen['chat_closes_total{code="1000"}'] += 1
    through.ask("GET", "/ws/chat", address="127.0.8.9")
    seen['chat_handshakes_total{verdict="refused"}'] += 1
    seen['chat_handshakes_rejected_total{reason="handshake_invalid"}'] += 1
    five = [await enter(through, seen, alice, address="127.0.8.10") for _ in range(5)]
    await knock(through, seen, alice, address="127.0.8.11")
    await leave(seen, *five)


async def leave(seen: Seen, *clients: Client) -> None:
    """Closes in order."""
    for client in clients:
        await client.socket.close()
        seen['chat_closes_total{code="1000"}'] += 1


async def talk(through: Through, seen: Seen) -> None:
    """Posts that are accepted, repeated and throttled, and frames that mean nothing."""
    client = await enter(through, seen, await through.stack.mint("bob-counted"), address="127.0.8.20")
    await client.join()
    posted: set[int] = set()
    for number in (*range(4), 0, *range(4, 8)):
        answer = await client.post("one to be counted", id=f"{through.stack.https_port}-{number}")
        if answer["type"] == "ack":
            seen[f'chat_messages_total{{outcome="{"repeated" if number in posted else "accepted"}"}}'] += 1
            posted.add(number)
        else:
            seen['chat_messages_total{outcome="throttled"}'] += 1
            seen[f'chat_messages_throttled_total{{limit="{answer["limit"]}"}}'] += 1
    for text, reason in (("{", "json"), ('{"type":"dance"}', "verb"), ('{"type":"ping","x":1}', "field")):
        await client.socket.send(text)
        assert (await client.until(type="error"))["code"] == "invalid", reason
        seen['chat_messages_total{outcome="invalid"}'] += 1
    await leave(seen, client)


def edge(through: Through, seen: Seen) -> None:
    """What nginx refuses by itself."""
    for path in ("/ready", "/metrics"):
        assert b" 404 " in through.ask("GET", path, address="127.0.8.30")[:20]
        seen['edge_rejected_total{reason="private_path"}'] += 1
    assert through.raw("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "127.0.8.31") == b""
    seen['edge_rejected_total{reason="unknown_host"}'] += 1
    assert b" 400 " in through.raw("nonsense\r\n\r\n", "127.0.8.32")[:20]
    seen['edge_rejected_total{reason="bad_request"}'] += 1
    large = through.ask("POST", "/api/session", {"name": "x" * 70_000}, address="127.0.8.33")
    assert b" 413 " in large[:20]
    seen['edge_rejected_total{reason="body_too_large"}'] += 1


@pytest.fixture
def through(stack: RunningStack) -> Iterator[Through]:
    yield Through(stack)


async def test_counters_equal_what_clients_saw(through: Through) -> None:
    """Per reason, limit, outcome and close code: not one more, not one less."""
    before, seen = counters(through.stack), Seen()
    await refusals(through, seen)
    await talk(through, seen)
    edge(through, seen)
    await knock(through, seen, None, 60, address="127.0.8.40")
    assert seen['edge_rejected_total{reason="edge_rate"}'] > 0
    assert seen['chat_handshakes_rejected_total{reason="ip_rate"}'] > 0
    assert seen['chat_messages_throttled_total{limit="posts_per_user"}'] > 0
    await asyncio.to_thread(until, lambda: not missing(through.stack, before, seen), "everything is counted")
    difference = counters(through.stack) - before
    invalid = {series for series in difference if series.startswith("chat_messages_invalid_total")}
    assert sum(difference.pop(series) for series in invalid) == seen['chat_messages_total{outcome="invalid"}']
    assert len(invalid) == 3
    assert difference == seen


async def test_every_label_value_of_the_edge_is_there(through: Through) -> None:
    """A scrape has each from the start, so that nothing is lost of a rate over the first refusal."""
    found = {name for family in exposition.families(through.stack.metrics()).values() for name in family.samples}
    for name, values in of_edge().items():
        label = {"edge_requests_total": "status_class", "edge_rejected_total": "reason"}[name]
        assert {f'{name}{{{label}="{value}"}}' for value in values} <= found


def missing(stack: RunningStack, before: Seen, seen: Seen) -> Seen:
    """What the clients saw and the counters do not say yet: mtail follows the log with a small delay."""
    return seen - (counters(stack) - before)
