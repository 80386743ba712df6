"""Verbs are sent until they are answered; throttles are waited out or raised; a slow reader slows the server down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from client import Client, Refused, Room, Throttled, Unconfirmed, Waiting, calls
from client.frames import Typing
from client.inbox import Inbox
from tests.patience import until
from tests.unit.scripted import Peer, Script, scripted, take


async def lobby(script: Script, client: Client) -> tuple[Peer, Room]:
    peer = await script.peer()
    joining = asyncio.create_task(client.join("lobby"))
    await peer.join()
    return peer, await joining


async def test_a_post_is_sent_with_the_same_id_until_it_is_acked() -> None:
    """Over two lost connections: rejoined first, then sent again, one offset in the end."""
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        posting = asyncio.create_task(room.post("hi"))
        ids = set()
        for _ in range(2):
            ids.add((await peer.expect(type="post", message="hi"))["id"])
            peer.cut()
            peer = await script.peer()
            await peer.join(recovered=True)
        frame = await peer.expect(type="post", message="hi")
        await peer.ack(frame, 7)
        assert await posting == 7
        assert ids == {frame["id"]}


async def test_a_throttled_post_waits_as_long_as_it_was_told() -> None:
    """`busy` and `rate_limited` are tried again after retry_after, same id, and the wait is told at once."""
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        posting = asyncio.create_task(room.post("hi"))
        first = await peer.expect(type="post")
        clock = asyncio.get_running_loop().time
        began = clock()
        await peer.refuse(first, "rate_limited", limit="posts_per_user", retry_after=0.3)
        second = await peer.expect(type="post", id=first["id"])
        assert clock() - began >= 0.3
        await peer.refuse(second, "busy", retry_after=0.01)
        await peer.ack(await peer.expect(type="post", id=first["id"]), 1)
        assert await posting == 1
        waits = [one for one in script.notices if isinstance(one, Waiting)]
        assert waits[0] == Waiting("post", "lobby", "rate_limited", "posts_per_user", 0.3)
        assert [one.code for one in waits] == ["rate_limited", "busy"]


async def test_a_throttle_beyond_the_patience_raises() -> None:
    """With its limit and delay, and at once; patience 0 waits for no throttle at all."""
    async with scripted() as script, script.client(patience=5.0) as client:
        peer, room = await lobby(script, client)
        for patience, wait in ((None, 60.0), (0.0, 0.1)):
            posting = asyncio.create_task(room.post("hi", patience=patience))
            await peer.refuse(await peer.expect(type="post"), "rate_limited", limit="slow_mode", retry_after=wait)
            with pytest.raises(Throttled) as throttled:
                await posting
            assert (throttled.value.limit, throttled.value.retry_after) == ("slow_mode", wait)


async def test_a_refusal_for_good_raises_its_code_and_says_when_the_outcome_is_uncertain() -> None:
    """Refused after one sending: not stored. Refused after a lost one: who knows."""
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        posting = asyncio.create_task(room.post("hi"))
        await peer.refuse(await peer.expect(type="post"), "muted", retry_after=9.0)
        with pytest.raises(Refused) as refused:
            await posting
        assert (refused.value.code, refused.value.retry_after, refused.value.uncertain) == ("muted", 9.0, False)
        posting = asyncio.create_task(room.post("hi"))
        await peer.expect(type="post")
        peer.cut()
        peer = await script.peer()
        await peer.join(recovered=True)
        await peer.refuse(await peer.expect(type="post"), "room_archived")
        with pytest.raises(Refused) as refused:
            await posting
        assert refused.value.uncertain


async def test_posts_of_a_room_keep_their_order_over_a_throttle() -> None:
    """The second is not sent before the first is acked."""
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        posting = [asyncio.create_task(room.post(text)) for text in ("one of two", "two of two")]
        await peer.refuse(await peer.expect(type="post", message="one of two"), "rate_limited", retry_after=0.05)
        await peer.ack(await peer.expect(type="post", message="one of two"), 1)
        await peer.ack(await peer.expect(type="post", message="two of two"), 2)
        assert await asyncio.gather(*posting) == [1, 2]


async def test_a_frame_that_was_dropped_without_its_id_is_sent_again() -> None:
    """`frames_per_connection` names no frame: after the pause everything without an answer goes out again."""
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        posting, asking = asyncio.create_task(room.post("hi")), asyncio.create_task(client.ping())
        frames = [await peer.receive(), await peer.receive()]
        await peer.send(type="error", code="rate_limited", error="No.", limit="frames_per_connection", retry_after=0.05)
        again = [await peer.receive(), await peer.receive()]
        assert sorted(map(str, again)) == sorted(map(str, frames))
        for frame in again:
            await peer.ack(frame, 1)
        await asyncio.gather(posting, asking)


async def test_no_answer_costs_the_connection_and_then_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes frames and never answers is left; when patience ends the id is in the exception."""
    monkeypatch.setattr(calls, "ANSWER_SECONDS", 0.1)
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        posting = asyncio.create_task(room.post("hi", id="mine", patience=0.5))
        await peer.expect(type="post")
        second = await script.peer()
        await second.join(recovered=True)
        await second.expect(type="post", id="mine")
        with pytest.raises(Unconfirmed) as unconfirmed:
            await posting
        assert unconfirmed.value.id == "mine"
        assert script.waits()[0][0] == "unanswered"


async def test_a_frame_that_no_server_takes_is_not_sent() -> None:
    """Too large would close the connection again and again; an id that waits already could not be told apart."""
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        with pytest.raises(ValueError, match="bytes"):
            await room.post("ü" * 9000)
        posting = asyncio.create_task(client.room("x").invite("bob"))
        waiting = asyncio.create_task(room.post("a", id="same"))
        frames = {frame["type"]: frame for frame in [await peer.receive(), await peer.receive()]}
        with pytest.raises(ValueError, match="id"):
            await client._ask("ping", id="same")
        await peer.ack(frames["post"], 1)
        await peer.ack(frames["invite"], 2)
        assert (await waiting, await posting) == (1, 2)


async def test_a_slow_caller_stops_the_reading_and_nothing_is_lost() -> None:
    """The server's writes get stuck instead of the client's memory growing; then everything comes, in order."""
    async with scripted(write_limit=1024) as script, script.client(inbox=10) as client:
        peer, room = await lobby(script, client)
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for offset in range(1, 3001):
                await peer.message(offset, message="x" * 4000)
                sent = offset

        flooding = asyncio.create_task(flood())
        link = client._calls.link
        assert link is not None
        await asyncio.to_thread(until, lambda: not link._socket.transport.is_reading(), "the reading stops")
        assert len(client._inbox) == 10 and room.offset == 10 and sent < 3000
        assert [one.offset for one in await take(client, 3000)] == list(range(1, 3001))
        await flooding


async def test_a_caller_who_waits_for_an_ack_cannot_block_itself() -> None:
    """The ack lies behind more events than the inbox holds: they are taken for as long as the caller waits."""
    async with scripted() as script, script.client(inbox=10) as client:
        peer, room = await lobby(script, client)
        for offset in range(1, 31):
            await peer.message(offset)
        posting = asyncio.create_task(room.post("hi"))
        frame = await peer.expect(type="post")
        for offset in range(31, 51):
            await peer.message(offset)
        await peer.ack(frame, 51)
        assert await posting == 51
        assert [one.offset for one in await take(client, 50)] == list(range(1, 51))


async def test_without_an_inbox_nothing_is_kept() -> None:
    """For those who only send."""
    async with scripted() as script, script.client(inbox=0) as client:
        peer, room = await lobby(script, client)
        for offset in range(1, 200):
            await peer.message(offset)
        await asyncio.to_thread(until, lambda: room.offset == 199, "all are taken")
        assert len(client._inbox) == 0


def test_what_may_be_missed_is_dropped_when_the_caller_is_behind() -> None:
    """Ephemeral notices take no room that events need."""
    inbox = Inbox(2)
    for number in range(5):
        inbox.offer(Typing(room=f"room-{number}", users=()))
    assert len(inbox) == 2


VERBS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("edit", {"target": 3, "text": "hey"}, {"target": 3, "message": "hey"}),
    ("delete", {"target": 3}, {"target": 3}),
    ("read", {"offset": 3}, {"offset": 3}),
    ("invite", {"user": "bob"}, {"user": "bob"}),
    ("kick", {"user": "bob", "reason": "Noise."}, {"user": "bob", "reason": "Noise."}),
    ("ban", {"user": "bob", "seconds": 60.0}, {"user": "bob", "seconds": 60.0}),
    ("unban", {"user": "bob"}, {"user": "bob"}),
    ("mute", {"user": "bob", "seconds": 60.0}, {"user": "bob", "seconds": 60.0}),
    ("unmute", {"user": "bob"}, {"user": "bob"}),
    ("set_role", {"user": "bob", "role": "owner"}, {"user": "bob", "role": "owner"}),
    ("rename", {"title": "Tea"}, {"title": "Tea"}),
    ("configure", {"slow_seconds": 5.0}, {"slow_seconds": 5.0}),
    ("archive", {}, {}),
    ("unarchive", {}, {}),
]


@pytest.mark.parametrize(("verb", "given", "sent"), VERBS, ids=[verb for verb, *_ in VERBS])
async def test_every_verb_says_what_the_protocol_knows(verb: str, given: dict[str, Any], sent: dict[str, Any]) -> None:
    """The frame parses as the server parses it, has these fields and no other, and its ack comes back as an offset."""
    async with scripted() as script, script.client() as client:
        peer = await script.peer()
        asking = asyncio.create_task(getattr(client.room("tea-1"), verb)(**given))
        frame = await peer.receive()
        assert frame == {"type": verb, "room": "tea-1", "id": frame["id"], **sent}
        assert peer.parsed(frame)
        await peer.ack(frame, 9)
        assert await asking == (None if verb == "read" else 9)


async def test_pages_come_back_as_values() -> None:
    """History, members, audit and rooms."""
    event = {"type": "message", "room": "t", "offset": 2, "sender": "bob", "timestamp": 1.0, "message": "m"}
    member = {"user": "bob", "role": "member", "online": True, "muted_until": -1}
    entry = {"id": 4, "offset": 1, "timestamp": 1.0, "by": "bob", "action": "kick", "user": "eve"}
    listed = {"room": "t", "title": "Tea", "public": True, "archived": False, "role": "owner", "members": 3}
    listed |= {"offset": 9, "read": 2, "unread": 1}
    async with scripted() as script, script.client() as client:
        peer, room = await script.peer(), client.room("t")
        for ask, answer in (
            (room.history(before=3, limit=2), {"type": "history", "epoch": "e1", "events": [event], "more": True}),
            (room.members(), {"type": "members", "members": [member]}),
            (room.audit(), {"type": "audit", "entries": [entry], "more": False}),
            (client.rooms(public=True), {"type": "rooms", "rooms": [listed]}),
        ):
            asking = asyncio.create_task(ask)
            frame = await peer.expect(type=answer["type"])
            assert peer.parsed(frame)
            await peer.send(id=frame["id"], room="t", **answer)
            found: Any = await asking
            match answer["type"]:
                case "history":
                    assert (found.events[0].message, found.more, found.epoch) == ("m", True, "e1")
                case "members":
                    assert (found[0].user, found[0].muted_until) == ("bob", -1)
                case "audit":
                    assert (found[0][0].action, found[1]) == ("kick", False)
                case _:
                    assert (found[0].title, found[0].unread) == ("Tea", 1)


async def test_typing_is_not_worth_waiting_for() -> None:
    """Sent while live, dropped otherwise; it has no id, since nobody waits for its answer."""
    async with scripted() as script, script.client() as client:
        peer, room = await lobby(script, client)
        await room.typing()
        assert await peer.receive() == {"type": "typing", "room": "lobby"}
        peer.cut()
        peer = await script.peer()
        await room.typing()
        await peer.expect(type="join")
