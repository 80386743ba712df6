"""Events reach the caller once and in order, and the caller is told where they cannot."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import Client, Garbled, MemberChanged, Message, Refused, Removed, Reset, Typing
from client.frames import Event
from client.resume import Position, Step
from tests.unit.scripted import EPOCH, Peer, Script, scripted, take


def offsets(found: list[object]) -> list[int]:
    return [one.offset for one in found if isinstance(one, Event)]


async def entered(script: Script, client: Client, offset: int = 0) -> Peer:
    """A connection that has joined the lobby."""
    peer = await script.peer()
    joining = asyncio.create_task(client.join("lobby"))
    await peer.join(offset=offset)
    assert (await joining).offset == offset
    return peer


async def test_what_was_missed_comes_once_after_a_cut() -> None:
    """The next connection joins with the last offset and its epoch, and the replay goes on there."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client, 5)
        for offset in (6, 7):
            await peer.message(offset)
        assert offsets(await take(client, 2)) == [6, 7]
        peer.cut()
        peer = await script.peer()
        asked = await peer.join(offset=7, recovered=True)
        assert (asked["after"], asked["epoch"]) == (7, EPOCH)
        for offset in (8, 9):
            await peer.message(offset)
        assert offsets(await take(client, 2)) == [8, 9]
        assert client.joined["lobby"].recovered


async def test_a_repeated_event_is_dropped() -> None:
    """Nothing that was passed on is passed on again, whatever the server sends."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        for offset in (1, 1, 2, 1, 2, 3):
            await peer.message(offset)
        assert offsets(await take(client, 3)) == [1, 2, 3]


async def test_a_gap_is_never_passed_on() -> None:
    """The connection is given up and what is missing is asked for."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        await peer.message(1)
        await peer.message(3)
        peer = await script.peer()
        asked = await peer.join(offset=1, recovered=True)
        assert asked["after"] == 1
        for offset in (2, 3):
            await peer.message(offset)
        assert offsets(await take(client, 3)) == [1, 2, 3]
        assert [reason for reason, _ in script.waits()] == ["garbled"]


async def test_a_room_that_cannot_be_resumed_is_reset() -> None:
    """`recovered: false` becomes a Reset between the last event before and the first one after."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        await peer.message(1)
        peer.cut()
        peer = await script.peer()
        await peer.join(offset=40)
        await peer.message(41)
        peer.cut()
        peer = await script.peer()
        await peer.join(offset=3, epoch="e2")
        before, reset, after, another = await take(client, 4)
        assert offsets([before, after]) == [1, 41]
        assert reset == Reset(room="lobby", after=1, offset=40, epoch=EPOCH, same_epoch=True)
        assert another == Reset(room="lobby", after=41, offset=3, epoch="e2", same_epoch=False)


async def test_the_caller_resumes_where_another_day_ended() -> None:
    """`join` with an offset and an epoch replays from there, or yields a Reset."""
    async with scripted() as script, script.client() as client:
        peer = await script.peer()
        joining = asyncio.create_task(client.join("lobby", after=2, epoch=EPOCH))
        asked = await peer.join(offset=2, recovered=True)
        assert asked["after"] == 2 and (await joining).recovered
        joining = asyncio.create_task(client.join("tea-1", after=2, epoch=EPOCH))
        await peer.join("tea-1", offset=9)
        await joining
        assert (await take(client, 1))[0].offset == 9


async def test_a_room_of_which_one_was_removed_meanwhile_is_surfaced() -> None:
    """A refused rejoin is a Removed with the server's word; the room is not asked for again."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        peer.cut()
        peer = await script.peer()
        await peer.refuse(await peer.expect(type="join"), "room_unknown")
        assert await take(client, 1) == [Removed(room="lobby", reason="room_unknown")]
        assert not client.joined


@pytest.mark.parametrize("change", ["kicked", "banned", "left"])
async def test_the_own_removal_ends_the_room(change: str) -> None:
    """The event that removes comes first, then Removed, then nothing of the room."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        removal = {"room": "lobby", "offset": 1, "sender": "bob", "timestamp": 1.0}
        await peer.send(type="member", change=change, user="alice", **removal)
        await peer.message(2)
        await peer.send(type="typing", room="x", users=["bob"])
        event, removed, typing = await take(client, 3)
        assert isinstance(event, MemberChanged)
        assert (removed, typing) == (Removed(room="lobby", reason=change), Typing(room="x", users=("bob",)))


async def test_a_removal_in_a_replay_ends_the_room() -> None:
    """The server says `removed` without an id."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        await peer.send(type="error", code="removed", error="Out.", room="lobby")
        assert await take(client, 1) == [Removed(room="lobby", reason="removed")]


async def test_a_leave_passes_its_own_event_on_and_no_removal() -> None:
    """Whether the event comes before the ack or after it; the room is not joined again."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        for early in (True, False):
            leaving = asyncio.create_task(client.joined["lobby"].leave())
            frame = await peer.expect(type="leave", room="lobby")
            event = {"type": "member", "change": "left", "user": "alice", "sender": "alice", "timestamp": 1.0}
            if early:
                await peer.send(room="lobby", offset=1, **event)
                await peer.ack(frame, 1)
                await leaving
                assert (await take(client, 2))[1] == Removed(room="lobby", reason="left")
                joining = asyncio.create_task(client.join("lobby"))
                await peer.join(offset=1)
                await joining
            else:
                await peer.ack(frame, 2)
                await leaving
                await peer.send(room="lobby", offset=2, **event)
                assert offsets(await take(client, 1)) == [2]
        assert not client.joined


async def test_a_refused_join_raises_and_a_throttled_one_waits() -> None:
    """The caller of `join` gets the code; a throttle is waited out."""
    async with scripted() as script, script.client() as client:
        peer = await script.peer()
        joining = asyncio.create_task(client.join("tea-1"))
        await peer.refuse(await peer.expect(type="join"), "rate_limited", retry_after=0.01, limit="reads_per_user")
        await peer.refuse(await peer.expect(type="join"), "banned", retry_after=60.0)
        with pytest.raises(Refused) as refused:
            await joining
        assert (refused.value.code, refused.value.retry_after) == ("banned", 60.0)
        assert not client.joined


async def test_an_event_of_a_kind_that_is_not_known_is_passed_on() -> None:
    """A newer server's event moves the offset on; a frame that is no event is passed over."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        await peer.send(type="weather", sun=True)
        await peer.send(type="poll", room="lobby", offset=1, sender="bob", timestamp=1.0, question="Tea?")
        await peer.message(2, colour="red")
        poll, message = await take(client, 2)
        assert type(poll) is Event and isinstance(message, Message)


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "message", "room": "lobby", "offset": 1}'])
async def test_garbage_costs_the_connection_and_nothing_else(text: str) -> None:
    """It is not passed on; the client comes back and asks for what it does not have."""
    async with scripted() as script, script.client() as client:
        peer = await entered(script, client)
        await peer.socket.send(text)
        assert (await (await script.peer()).expect(type="join"))["after"] == 0


steps = st.lists(st.integers(min_value=-3, max_value=3), max_size=60)


@given(st.integers(min_value=0, max_value=10**6), steps)
def test_only_the_next_offset_ever_passes(start: int, moves: list[int]) -> None:
    """However offsets jump about, what passes is consecutive."""
    position, passed = Position(start, EPOCH), []
    for move in moves:
        offset = position.offset + move
        if position.step(offset) is Step.NEXT:
            position.offset = offset
            passed.append(offset)
        else:
            assert position.step(offset) is (Step.GAP if move > 1 else Step.REPEAT)
    assert passed == list(range(start + 1, start + 1 + len(passed)))


def test_a_server_that_recovers_from_elsewhere_is_not_believed() -> None:
    """`recovered` with another offset or epoch than was asked for would be a gap without a name."""
    for offset, epoch in ((8, EPOCH), (7, "e2")):
        with pytest.raises(Garbled):
            Position(7, EPOCH).joined("lobby", {"offset": offset, "epoch": epoch, "recovered": True})
