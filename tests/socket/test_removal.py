"""Whoever is removed from a room gets nothing that comes after, however much is on its way at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.model import Post, RoomId, UserName
from tests.socket.raw import Raw
from tests.socket.server import Client, Server, new_address, new_name

ROOMS = 4
REPETITIONS = 500 // ROOMS
"""Of kicks and of bans in each room: 1,000 in all."""
UNDER_WAY = 8
"""Posts of each of the others that are not acked yet, all the time."""
REFUSALS = {"kick": ("forbidden", "not_joined"), "ban": ("banned", "not_joined")}


async def person(server: Server) -> tuple[str, Client]:
    name = new_name()
    return name, await server.connect(await server.token(name))


class Noise:
    """A member who posts as fast as the acks come, and reads what the others say."""

    def __init__(self, client: Client, room: str) -> None:
        self.client = client
        self.room = room
        self.acked = 0
        self.over = False
        """Asked for rather than cancelled: a wait that always has its answer at once would miss the cancellation."""

    async def go_on(self) -> None:
        for _ in range(UNDER_WAY):
            await self._post()
        while not self.over:
            frame = await self.client.receive()
            assert frame["type"] != "error", frame
            if frame["type"] == "ack":
                self.acked += 1
                await self._post()

    async def _post(self) -> None:
        await self.client.send(type="post", room=self.room, message="on and on")


@contextlib.asynccontextmanager
async def noise(clients: list[Client], room: str) -> AsyncIterator[list[Noise]]:
    """Those clients post while the block runs; it fails with the first of them that does."""
    loud = [Noise(client, room) for client in clients]
    async with asyncio.TaskGroup() as group:
        for one in loud:
            group.create_task(one.go_on())
        yield loud
        for one in loud:
            one.over = True


class Victim:
    """A user who is live on two connections and posts on the first one until they are removed, and a little longer."""

    def __init__(self, clients: list[Client], room: str) -> None:
        self.clients = clients
        self.room = room
        self.sent: list[str] = []

    async def join(self) -> list[int]:
        """Be live on both; the offsets before their first events. Nothing of the room came since the last removal."""
        offsets = []
        for client in self.clients:
            await client.send(type="join", room=self.room)
            while (frame := await client.receive())["type"] != "joined":
                assert frame["type"] == "membership", frame
            offsets.append(frame["offset"])
        return offsets

    async def post_on(self) -> None:
        """Post into the removal."""
        self.sent = [secrets.token_hex(4) for _ in range(UNDER_WAY)]
        for client_id in self.sent:
            await self.clients[0].send(type="post", room=self.room, message="me too", id=client_id)
            await asyncio.sleep(0)

    async def rest(self, client: Client) -> list[dict[str, Any]]:
        """Everything that was on its way to a connection, and the answers to all of its posts."""
        await client.send(type="ping", id="all")
        frames: list[dict[str, Any]] = []
        open_ids = {"all", *(self.sent if client is self.clients[0] else ())}
        while open_ids:
            frames.append(await client.receive())
            open_ids.discard(frames[-1].get("id", ""))
        return frames


def check(frames: list[dict[str, Any]], joined: int, removal: int, name: str, change: str) -> None:
    """Every event up to the removal, in order, the removal itself, and none above it."""
    events = [frame for frame in frames if "offset" in frame and frame["type"] != "ack"]
    assert [event["offset"] for event in events] == list(range(joined + 1, removal + 1))
    assert (events[-1]["type"], events[-1]["change"], events[-1]["user"]) == ("member", change, name)
    told = [frame["change"] for frame in frames if frame["type"] == "membership"]
    assert told[-1] == change


def check_posts(victim: Victim, frames: list[dict[str, Any]], removal: int, verb: str) -> None:
    """Each post of theirs that was under way is stored below the removal, or refused."""
    answers = {frame["id"]: frame for frame in frames if "id" in frame}
    for answer in map(answers.__getitem__, victim.sent):
        if answer["type"] == "ack":
            assert answer["offset"] < removal
        else:
            assert answer["code"] in REFUSALS[verb]


async def removals(server: Server, verb: str, change: str) -> int:
    """Remove the same user again and again from one room full of noise; how much the others said meanwhile."""
    (owner, chair), (_, third), (name, one) = [await person(server) for _ in range(3)]
    loud, two = [await server.connect(await server.mint(user)) for user in (owner, name)]
    room = (await chair.ask(type="create", title="Noise", public=True))["room"]
    for client in (loud, third):
        await client.ask(type="join", room=room)
    victim = Victim([one, two], room)
    async with noise([loud, third], room) as others:
        for _ in range(REPETITIONS):
            joined = await victim.join()
            posting = asyncio.create_task(victim.post_on())
            removal = (await chair.ask(type=verb, room=room, user=name))["offset"]
            await posting
            rests = [await victim.rest(client) for client in victim.clients]
            for frames, offset in zip(rests, joined, strict=True):
                check(frames, offset, removal, name, change)
            check_posts(victim, rests[0], removal, verb)
            if verb == "ban":
                await chair.ask(type="unban", room=room, user=name)
    return sum(one.acked for one in others)


@pytest.mark.parametrize(("verb", "change"), [("kick", "kicked"), ("ban", "banned")])
async def test_nothing_comes_after_a_removal(server: Server, verb: str, change: str) -> None:
    """While two others post in a tight loop, again and again, in several rooms at once: both connections of whoever is
    removed get every event up to the removal and none above it, not even one that was under way."""
    said = await asyncio.gather(*(removals(server, verb, change) for _ in range(ROOMS)))
    assert min(said) > REPETITIONS


async def test_a_removal_ends_a_replay(server: Server) -> None:
    """Whoever reads slowly and is removed meanwhile gets the replay up to some offset below, and is told."""
    (owner, chair), (name, _) = [await person(server) for _ in range(2)]
    room = (await chair.ask(type="create", title="Long", public=True))["room"]
    early = await server.connect(await server.mint(owner))
    joined = await early.ask(type="join", room=room)
    await early.socket.close()
    slow = await Raw.open(server)
    await slow.connect(await server.token(name), new_address())
    assert server.get(f"/api/rooms/{room}/join", method="POST", body={}, headers=await bearer(server, name))[0] == 200
    async with server.store() as store:
        long = [Post(RoomId(room), UserName(owner), "x" * 500) for _ in range(1000)]
        for _ in range(5):
            await store.append(long)
    await chair.ask(type="join", room=room)
    await chair.ask(type="post", room=room, message="newest of the posts here")
    slow.send(type="join", room=room, after=joined["offset"], epoch=joined["epoch"], id="j")
    answer = await slow.until(id="j")
    removal = (await chair.ask(type="kick", room=room, user=name))["offset"]
    assert answer["recovered"] and answer["newest"] == removal - 1
    last = joined["offset"]
    while (frame := await slow.until())["type"] != "error":
        if frame["type"] != "membership":
            last += 1
            assert frame["offset"] == last
    assert (frame["code"], frame["room"], frame.get("id")) == ("removed", room, None)
    assert last < removal
    slow.send(type="ping", id="p")
    while (frame := await slow.until()) != {"type": "ack", "id": "p"}:
        assert frame["type"] == "membership"


async def bearer(server: Server, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {await server.mint(name)}"}
