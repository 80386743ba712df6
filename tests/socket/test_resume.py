"""Coming back to a room over a real socket: after a cut, a kill, a long time, and with a reader that is slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

from app.model import Post, RoomId, UserName
from tests.patience import THOROUGH, until
from tests.socket.conftest import Serve
from tests.socket.raw import CLOSE, TEXT, Raw
from tests.socket.server import Client, Server, new_address, new_name

CUTS = 60 if THOROUGH else 15
LONG = 4000


class Room:
    """A public room, and who made it."""

    def __init__(self, server: Server, owner: str, client: Client, joined: dict[str, Any]) -> None:
        self.server = server
        self.owner = owner
        self.client = client
        self.id: str = joined["room"]
        self.epoch: str = joined["epoch"]

    async def fill(self, count: int) -> None:
        """Long messages that nobody was told of, as from a time before the server started."""
        async with self.server.store() as store:
            for begin in range(0, count, 1000):
                post = Post(RoomId(self.id), UserName(self.owner), "x" * 500)
                await store.append([post] * min(1000, count - begin))

    def kept(self, offset: int) -> bool:
        """Whether the store still has that event."""
        with contextlib.closing(sqlite3.connect(self.server.state / "data/chat.db")) as store:
            asked = (
                "SELECT 1 FROM events JOIN rooms ON rooms.id = events.room WHERE rooms.name = ? AND events.offset = ?"
            )
            return store.execute(asked, (self.id, offset)).fetchone() is not None

    async def slow(self, after: int) -> Raw:
        """The owner once more, who asked for everything since and has not read yet."""
        raw = await Raw.open(self.server)
        await raw.connect(await self.server.mint(self.owner), new_address())
        raw.send(type="join", room=self.id, after=after, epoch=self.epoch, id="j")
        return raw

    @contextlib.asynccontextmanager
    async def noise(self) -> AsyncIterator[None]:
        """Somebody posts all the time."""
        over = asyncio.Event()
        client = await self.server.connect(await self.server.mint(self.owner))
        await client.join(self.id)

        async def post() -> None:
            while not over.is_set():
                await client.post("on and on", self.id)

        async with asyncio.TaskGroup() as group:
            group.create_task(post())
            yield
            over.set()


async def made(server: Server) -> Room:
    """A room that nobody is live in."""
    owner = new_name()
    client = await server.connect(await server.token(owner))
    room = (await client.ask(type="create", title="Long", public=True))["room"]
    early = await server.connect(await server.mint(owner))
    joined = await early.ask(type="join", room=room)
    await early.socket.close()
    return Room(server, owner, client, joined)


def is_next(frame: dict[str, Any], last: int) -> int:
    """The offset of an event, which has to be the next one; what is no event is passed over."""
    if "offset" not in frame or frame["type"] == "joined":
        return last
    assert frame["offset"] == last + 1
    return last + 1


async def test_cut_again_and_again_nothing_is_missing_or_comes_twice(server: Server) -> None:
    """While somebody posts, whoever loses the connection comes back with the last offset and gets what follows it."""
    room, last = await made(server), 0
    token = await server.mint(room.owner)
    async with room.noise():
        for number in range(CUTS):
            client = await server.connect(token, address=new_address())
            joined = await client.ask(type="join", room=room.id, after=last, epoch=room.epoch)
            assert joined["recovered"] and joined["offset"] == last
            for _ in range(number):
                last = is_next(await client.receive(), last)
            client.socket.transport.abort()
    assert last > CUTS


async def test_a_replay_is_as_long_as_it_has_to_be(serve: Serve) -> None:
    """Many times what may wait for a slow reader, while others post: it waits for the reader instead."""
    server = serve(outbox_bytes=65_536)
    room = await made(server)
    await room.fill(LONG)
    async with room.noise():
        slow = await room.slow(1)
        joined, last = await slow.until(id="j"), 1
        assert joined["recovered"] and joined["newest"] > LONG
        while last < joined["newest"]:
            last = is_next(await slow.until(), last)
    newest = (await room.client.ask(type="history", room=room.id, limit=1))["events"][0]["offset"]
    while last < newest:
        last = is_next(await slow.until(), last)
    assert server.metric("chat_slow_consumers_total") == 0


async def test_what_retention_takes_from_a_slow_reader_is_not_passed_over(serve: Serve) -> None:
    """The connection is closed behind the last event before the gap, and the next join says that events are missing."""
    server = serve(retention_events=3000, retention_every_seconds=0.1)
    room = await made(server)
    await room.fill(LONG)
    slow = await room.slow(LONG - 2800)
    joined = await slow.until(id="j")
    assert joined["recovered"]
    await room.fill(LONG)
    await asyncio.to_thread(until, lambda: not room.kept(joined["newest"]), "retention has passed by")
    last, (opcode, payload) = joined["offset"], await slow.read()
    while opcode != CLOSE:
        last = is_next(json.loads(payload), last) if opcode == TEXT else last
        opcode, payload = await slow.read()
    assert (opcode, payload) == (CLOSE, (4000).to_bytes(2, "big") + b"slow_consumer")
    assert last < joined["newest"]
    joined = await (await room.slow(last)).until(id="j")
    assert (joined["recovered"], joined["offset"]) == (False, joined["newest"])


async def test_a_reader_that_takes_nothing_is_not_waited_for(serve: Serve) -> None:
    """Not even one that keeps the server from asking whether it is alive: its place is soon another's."""
    server = serve(connections_per_room=1, ping_seconds=0.5, pong_seconds=0.5)
    room = await made(server)
    await room.fill(LONG)
    slow = await room.slow(1)
    for _ in range(3):
        slow.send(type="ping")
    await asyncio.to_thread(until, lambda: server.metric("chat_slow_consumers_total") == 1, "it is given up")
    await asyncio.to_thread(until, lambda: server.metric("chat_connections") == 1, "it is gone")
    assert (await room.client.ask(type="join", room=room.id))["type"] == "joined"


async def test_long_messages_are_replayed_like_short_ones(serve: Serve) -> None:
    """Though few of them fill an outbox."""
    server = serve(outbox_bytes=16_384, message_characters=4000)
    room = await made(server)
    async with server.store() as store:
        await store.append([Post(RoomId(room.id), UserName(room.owner), "\U0001f98a" * 4000)] * 300)
    slow = await room.slow(1)
    last = (await slow.until(id="j"))["offset"]
    while last < 301:
        last = is_next(await slow.until(), last)
    assert server.metric("chat_slow_consumers_total") == 0


async def test_a_killed_server_is_no_gap(serve: Serve) -> None:
    """What was acked before is replayed after, in the same epoch."""
    server = serve()
    room = await made(server)
    token = await server.token(new_name())
    reader = await server.connect(token)
    joined = await reader.ask(type="join", room=room.id)
    await room.client.ask(type="join", room=room.id)
    acked = [(await room.client.post(f"m{number}", room.id))["offset"] for number in range(20)]
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    await asyncio.to_thread(server.start)
    back = await server.connect(token)
    again = await back.ask(type="join", room=room.id, after=joined["offset"], epoch=joined["epoch"])
    assert (again["recovered"], again["offset"]) == (True, joined["offset"])
    texts: dict[int, str] = {}
    while len(texts) < len(acked):
        frame = await back.receive()
        if frame["type"] == "message":
            texts[frame["offset"]] = frame["message"]
    assert texts == {offset: f"m{number}" for number, offset in enumerate(acked)}


async def test_who_resumes_after_a_restart_is_not_announced(serve: Serve) -> None:
    """Nobody was told that they went; the next newcomer is announced, and behind that nothing can be late."""
    server = serve(notices_resume_seconds=30)
    room = await made(server)
    watcher, twin, last = [await server.token(new_name()) for _ in range(3)]
    joined = [await (await server.connect(token)).ask(type="join", room=room.id) for token in (watcher, twin)]
    assert await asyncio.to_thread(server.stop) == 0
    await asyncio.to_thread(server.start)
    watching, back = await server.connect(watcher), await server.connect(twin)
    for client, seen in zip((watching, back), joined, strict=True):
        again = await client.ask(type="join", room=room.id, after=seen["offset"], epoch=seen["epoch"])
        assert again["recovered"]
    newcomer = await server.connect(last)
    await newcomer.ask(type="join", room=room.id)
    assert len((await watching.until(type="presence"))["joined"]) == 1
