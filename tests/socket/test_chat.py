"""Talking in the default room, in both profiles."""

from __future__ import annotations

from tests.socket.conftest import Serve
from tests.socket.server import Server


async def test_a_post_reaches_every_member_once_and_is_acked(server: Server) -> None:
    """An ack names the offset at which everybody got the message."""
    alice = await server.connect(await server.token("alice"))
    bob = await server.connect(await server.token("bob"))
    start = (await alice.join())["offset"]
    await bob.join()
    assert (await alice.post("hello, all", id="one"))["offset"] == start + 1
    message = await bob.until(type="message")
    assert (message["sender"], message["message"], message["offset"]) == ("alice", "hello, all", start + 1)


async def test_the_same_id_twice_is_one_offset_and_one_delivery(server: Server) -> None:
    """A repeated post is acked with the first offset and delivered to nobody again."""
    alice = await server.connect(await server.token("alice"))
    bob = await server.connect(await server.token("bob"))
    await alice.join()
    await bob.join()
    first = await alice.post("once", id="same")
    assert await alice.post("once", id="same") == first
    last = await alice.post("after", id="next")
    assert last["offset"] == first["offset"] + 1
    assert [(await bob.until(type="message"))["message"] for _ in range(2)] == ["once", "after"]


async def test_posting_without_joining_is_refused(server: Server) -> None:
    """Only members may post."""
    alice = await server.connect(await server.token("alice"))
    assert (await alice.post("hello, all"))["code"] == "not_joined"


async def test_a_room_that_does_not_exist_cannot_be_joined(server: Server) -> None:
    """The answer says so."""
    alice = await server.connect(await server.token("alice"))
    await alice.send(type="join", room="nowhere", id="j")
    assert (await alice.until(id="j"))["code"] == "room_unknown"


async def test_who_left_hears_nothing_more(server: Server) -> None:
    """After the ack of a leave no message of the room arrives."""
    alice = await server.connect(await server.token("alice"))
    bob = await server.connect(await server.token("bob"))
    await alice.join()
    await bob.join()
    await bob.send(type="leave", room="lobby", id="out")
    assert (await bob.until(id="out"))["type"] == "ack"
    await alice.post("unheard")
    await bob.send(type="ping", id="p")
    assert (await bob.receive())["id"] == "p"
    await bob.send(type="leave", room="lobby", id="again")
    assert (await bob.receive())["code"] == "not_joined"


async def test_the_tutorial_profile_needs_no_join_and_gets_only_its_own_frames(server: Server) -> None:
    """A client that offers no subprotocol posts at once and reads sender, message and timestamp."""
    alice = await server.connect(await server.token("alice"), tutorial=True)
    await alice.send(message="hi")
    frame = await alice.until(message="hi")
    assert set(frame) == {"sender", "message", "timestamp"}
    assert isinstance(frame["timestamp"], float)
    await alice.send(message="with id", id="x1")
    assert (await alice.until(id="x1"))["type"] == "ack"


async def test_joins_and_leaves_are_told_by_system(serve: Serve) -> None:
    """The tutorial's notices come from System; chat.v1 gets presence frames."""
    server = serve()
    alice = await server.connect(await server.token("alice"), tutorial=True)
    carol = await server.connect(await server.token("carol"))
    await carol.join()
    bob = await server.connect(await server.token("bob"), tutorial=True)
    assert (await alice.until(sender="System", message="User bob has joined the chat."))["timestamp"] > 0
    while "bob" not in (await carol.until(type="presence"))["joined"]:
        pass
    await bob.socket.close()
    await alice.until(sender="System", message="User bob has left the chat.")
    await carol.until(type="presence", left=["bob"])
