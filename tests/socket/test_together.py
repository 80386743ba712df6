"""Two servers that share a store and Redis or Valkey are one chat: whoever is where, nobody can tell."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.servers import KINDS
from tests.contract.servers import running as redis_running
from tests.patience import PATIENCE, until
from tests.postgres import Cluster
from tests.socket.forger import ask_ticket
from tests.socket.server import ORIGIN, Client, Server, new_address, new_name
from tests.socket.together import database, two

Two = tuple[Server, Server]
POSTS = 100


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Two]:
    """With limits that only the tests of limits reach."""
    tight = {"connections_per_user": "4", "posts_per_user_per_second": "0.001", "posts_per_user_burst": "500"}
    flood = {"throttles_per_minute": "3", "cooldown_seconds": "30"}
    folder = tmp_path_factory.mktemp("two")
    with (
        database(cluster) as url,
        redis_running(request.param) as redis,
        two(folder, url, redis, **tight, **flood) as servers,
    ):
        yield servers


async def members(pair: Two, *names: str, room: str = "lobby") -> list[Client]:
    """A live member at each server, by turns."""
    clients = []
    for number, name in enumerate(names):
        client = await pair[number % 2].connect(await pair[0].token(name), address=new_address())
        await client.join(room)
        clients.append(client)
    return clients


async def messages(client: Client, count: int) -> list[tuple[int, str]]:
    """The next messages: their offsets and texts."""
    found: list[tuple[int, str]] = []
    while len(found) < count:
        frame = await client.until(type="message")
        found.append((frame["offset"], frame["message"]))
    return found


async def test_a_message_reaches_whoever_is_elsewhere_at_once(pair: Two) -> None:
    """In far less time than asking the store now and then would take, each time."""
    ann, bob = await members(pair, new_name(), new_name())
    for number in range(10):
        began = time.monotonic()
        await ann.post(f"hello {number}")
        (_, text), *_ = await messages(bob, 1)
        assert text == f"hello {number}" and time.monotonic() - began < 1.0


async def test_posts_from_both_sides_arrive_everywhere_once_and_in_one_order(pair: Two) -> None:
    """Though their events overtake each other on the way."""
    room = (await members(pair, new_name()))[0]
    created = await room.ask(type="create", title="Both", public=True)
    there = await members(pair, *(new_name() for _ in range(4)), room=created["room"])

    async def talk(client: Client, who: int) -> None:
        for number in range(POSTS // 4):
            await client.send(type="post", room=created["room"], message=f"{who} {number}", id=f"{who}-{number}")

    heard = [asyncio.create_task(messages(client, POSTS)) for client in there]
    await asyncio.gather(*(talk(client, who) for who, client in enumerate(there)))
    first, *rest = [await one for one in heard]
    assert all(other == first for other in rest)
    offsets = [offset for offset, _ in first]
    assert offsets == list(range(offsets[0], offsets[0] + POSTS))
    assert len({text for _, text in first}) == POSTS


async def test_a_users_posts_are_limited_over_both(pair: Two) -> None:
    """Exactly as many pass as one server would let pass."""
    name = new_name()
    clients = await members(pair, name, name)
    answers = await asyncio.gather(*(_until_throttled(client) for client in clients))
    assert sum(answers) == 500


async def _until_throttled(client: Client) -> int:
    count = 0
    while (await client.post("more"))["type"] == "ack":
        count += 1
    return count


async def test_a_users_connections_are_counted_over_both(pair: Two) -> None:
    """The fifth is refused wherever it asks, and passes once another one is gone."""
    name, address = new_name(), new_address()
    token = await pair[0].token(name)
    open_ones = [await pair[number % 2].connect(token, address=address) for number in range(4)]
    for server in pair:
        assert (await server.refused(token, address=address)).reason == "user_connections"
    await open_ones[0].socket.close()

    async def again() -> bool:
        return isinstance(await pair[1].open(token, address=address), Client)

    ends = time.monotonic() + PATIENCE
    while not await again():
        assert time.monotonic() < ends


async def test_who_floods_at_one_cools_down_at_both(pair: Two) -> None:
    """Closed everywhere, and let in nowhere."""
    name = new_name()
    here, there = await members(pair, name, name)
    while (await here.post("more"))["type"] == "ack":
        pass
    for _ in range(4):
        await here.send(type="post", room="lobby", message="more", id="x")
    assert await here.closed() == (4500, "flood")
    assert await there.closed() == (4500, "flood")
    token = await pair[0].token(name)
    for server in pair:
        assert (await server.refused(token, address=new_address())).reason == "user_cooldown"
    admin = {"Origin": ORIGIN, **await pair[1].admin()}
    path = f"/api/cooldowns/{name}"
    assert pair[1].get(path, method="DELETE", headers=admin, address=new_address())[0] == 204
    for server in pair:
        await server.connect(token, address=new_address())


async def test_a_drained_node_sends_its_people_to_the_other(pair: Two) -> None:
    """Asked for at either; it takes nobody in until it is resumed, and the last one cannot be drained."""
    here, there = pair
    admin = {"Origin": ORIGIN, **await here.admin()}
    ann, bob = await members(pair, new_name(), new_name())

    def ask(method: str, node: str) -> int:
        return here.get(f"/api/nodes/{node}/drain", method=method, headers=admin, address=new_address())[0]

    assert ask("PUT", "other") == 204
    hint = (await bob.until(type="going_away"))["retry_after"]
    assert 0.2 <= hint <= 1.0
    assert await bob.closed() == (1012, "restart")
    token = await here.token(new_name())
    assert (await there.refused(token, address=new_address())).reason == "draining"
    assert there.get("/ready", private=True)[0] == 503
    assert ask("PUT", "one") == 409
    assert (await ann.post("still here"))["type"] == "ack"
    await here.connect(token, address=new_address())
    listed = json.loads(here.get("/api/nodes", headers=admin, address=new_address())[2])["nodes"]
    assert [(one["name"], one["drained"]) for one in listed] == [("one", False), ("other", True)]
    assert ask("DELETE", "other") == 204

    async def back() -> bool:
        return isinstance(await there.open(token, address=new_address()), Client)

    ends = time.monotonic() + PATIENCE
    while not await back():
        assert time.monotonic() < ends
    assert there.get("/ready", private=True)[0] == 200


async def test_a_session_that_ends_at_one_closes_its_socket_at_the_other(pair: Two) -> None:
    """Within a second; so does a revoked token's."""
    one, other = pair
    name, address = await one.person(new_name()), new_address()
    browser = one.sign_in(name, address)
    live = await other.connect(None, headers=browser, address=address)
    token = await one.mint(name)
    by_token = await other.connect(token, address=address)
    since = time.monotonic()
    assert one.get("/api/session", method="DELETE", headers=browser, address=address)[0] == 204
    assert await live.closed() == (4501, "revoked")
    assert time.monotonic() - since < 1.0
    since = time.monotonic()
    admin = {"Origin": ORIGIN, **await one.admin()}
    one.get("/api/revocations", method="POST", body={"token": token}, headers=admin, address=address)
    assert await by_token.closed() == (4501, "revoked")
    assert time.monotonic() - since < 1.0


async def test_a_ticket_is_used_up_at_both(pair: Two) -> None:
    """Whoever saw it first."""
    bearer = {"Authorization": f"Bearer {await pair[0].token(new_name())}"}
    ticket = ask_ticket(pair[0], bearer, new_address())[2]["ticket"]
    await pair[0].connect(ticket, address=new_address())
    assert (await pair[1].refused(ticket, address=new_address())).reason == "token_reused"


async def test_a_member_who_is_kicked_at_one_hears_nothing_more_at_the_other(pair: Two) -> None:
    """Nothing that was posted after it, wherever."""
    owner, member = new_name(), new_name()
    ann, bob = await members(pair, owner, member)
    room = (await ann.ask(type="create", title="Den", public=True))["room"]
    await ann.join(room)
    await bob.join(room)
    removed = await ann.ask(type="kick", room=room, user=member)
    for number in range(20):
        await ann.post(f"about bob {number}", room=room)
    assert (await bob.until(type="member", change="kicked"))["offset"] == removed["offset"]
    await bob.send(type="ping", id="last")
    while (frame := await bob.receive()).get("id") != "last":
        assert frame.get("room") != room or frame["type"] == "membership", frame


async def test_who_is_there_and_who_writes_is_told_across(pair: Two) -> None:
    """Nobody has left who is still there by way of the other server."""
    ann, bob, twin = new_name(), new_name(), new_name()
    ann_client, bob_client = await members(pair, ann, bob)
    # Who comes and goes within a second is not mentioned.
    while bob not in (await ann_client.until(type="presence")).get("joined", ()):
        pass
    (one,) = await members(pair, twin)
    other = await pair[1].connect(await pair[0].token(twin), address=new_address())
    await other.join()
    online = {row["user"] for row in (await ann_client.ask(type="members", room="lobby"))["members"] if row["online"]}
    assert {ann, bob, twin} <= online
    await ann_client.send(type="typing", room="lobby")
    assert (await bob_client.until(type="typing"))["users"] == [ann]
    await one.socket.close()
    await bob_client.socket.close()
    left: set[str] = set()
    while bob not in left:
        left |= set((await ann_client.until(type="presence")).get("left", ()))
    assert twin not in left


async def test_who_comes_by_the_other_server_too_is_not_announced_again(pair: Two) -> None:
    """Whoever is there already stays so; the next newcomer is announced, and behind that nothing can be late."""
    watcher, twin, last = new_name(), new_name(), new_name()
    (watching,) = await members(pair, watcher)
    here, there = [await server.connect(await pair[0].token(twin), address=new_address()) for server in pair]
    await here.join()
    assert (await announced(watching, twin)).count(twin) == 1
    await there.join()
    newcomer = await pair[1].connect(await pair[0].token(last), address=new_address())
    await newcomer.join()
    assert twin not in await announced(watching, last)


async def test_who_loses_the_connection_and_resumes_at_the_other_was_never_away(
    tmp_path: Path, cluster: Cluster
) -> None:
    """Neither gone nor come; the next newcomer is announced, and behind that nothing can be late.

    Who then says to go from there has left once: the server that lost the connection does not announce it again.
    """
    with (
        database(cluster) as url,
        redis_running("valkey") as redis,
        two(tmp_path, url, redis, notices_resume_seconds=f"{PATIENCE / 3}") as pair,
    ):
        watcher, twin, other, last = (new_name() for _ in range(4))
        (watching,) = await members(pair, watcher)
        lost, late = [await pair[1].connect(await pair[0].token(name), address=new_address()) for name in (twin, other)]
        entered = await lost.join()
        await late.join()
        await announced(watching, twin)
        for one in (lost, late):
            one.socket.transport.abort()
        await asyncio.to_thread(until, lambda: pair[1].metric("chat_connections") == 0.0, "it is gone there")
        back = await pair[0].connect(await pair[0].token(twin), address=new_address())
        await back.send(type="join", room="lobby", after=entered["offset"], epoch=entered["epoch"])
        assert (await back.until(type="joined"))["recovered"]
        await members(pair, last)
        assert twin not in await announced(watching, last)
        await back.socket.close()
        left: list[str] = []
        while not {twin, other} <= set(left):  # that server's word of the other comes after its word of the twin would
            left += (await watching.until(type="presence"))["left"]
        assert left.count(twin) == 1


async def announced(client: Client, user: str) -> list[str]:
    """Everybody who was said to have come, up to the notice that says it of this user."""
    found: list[str] = []
    while user not in found:
        found += (await client.until(type="presence"))["joined"]
    return found


def test_what_is_measured_of_the_others(pair: Two) -> None:
    """The way through Redis takes its time and says how long; nothing is degraded."""
    for server in pair:
        until(lambda server=server: server.metric("chat_broker_lag_seconds_count") > 0, "its own pulse comes back")  # type: ignore[misc]
        for backend in ("store", "redis", "broker"):
            assert server.metric("chat_degraded", backend=backend) == 0.0
        assert server.metric("chat_limiter_seconds_count", backend="redis") > 0
        assert server.metric("chat_broker_errors_total", what="publish") == 0.0
