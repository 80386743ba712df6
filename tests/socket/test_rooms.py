"""Rooms from the outside: making them, coming in, being removed, reading back; over the socket, some over HTTP."""

from __future__ import annotations

import json
from typing import Any

from tests.socket.server import Client, Server, new_name


async def person(server: Server) -> tuple[str, Client]:
    """A new user with a connection."""
    name = new_name()
    return name, await server.connect(await server.token(name))


async def made(client: Client, title: str = "Book club", *, public: bool = False) -> str:
    """A room of this client's."""
    answer = await client.ask(type="create", title=title, public=public)
    assert answer["type"] == "ack" and answer["offset"] == 1, answer
    return str(answer["room"])


async def test_a_private_room_is_made_entered_by_invitation_and_unknown_to_others(server: Server) -> None:
    """The invited learn of it at once, wherever they are; for everybody else there is no such room."""
    (ann, ann_client), (bob, bob_client), (_, eve_client) = [await person(server) for _ in range(3)]
    elsewhere = await server.connect(await server.token(ann))
    room = await made(ann_client)
    assert room.startswith("book-club-")
    created = await elsewhere.until(type="membership")
    assert (created["room"], created["change"]) == (room, "created")
    joined = await ann_client.ask(type="join", room=room)
    assert (joined["role"], joined["offset"], joined["recovered"]) == ("owner", 1, False)
    assert (await bob_client.ask(type="join", room=room))["code"] == "room_unknown"
    assert (await ann_client.ask(type="invite", room=room, user=bob))["offset"] == 2
    told = await bob_client.until(type="membership")
    assert (told["room"], told["change"], told["sender"]) == (room, "invited", ann)
    joined = await bob_client.ask(type="join", room=room)
    assert (joined["role"], joined["offset"], joined["title"]) == ("member", 3, "Book club")
    assert (await ann_client.until(type="member", change="joined"))["user"] == bob
    await ann_client.post("hello, all", room)
    assert (await bob_client.until(type="message"))["message"] == "hello, all"
    assert (await eve_client.ask(type="join", room=room))["code"] == "room_unknown"
    assert (await eve_client.ask(type="history", room=room))["code"] == "room_unknown"


async def test_a_resume_gets_everything_since_and_an_unknown_past_gets_nothing(server: Server) -> None:
    """Recovered means complete; another epoch, a retention that has passed or an offset to come mean not at all."""
    (_, ann), (name, bob) = [await person(server) for _ in range(2)]
    room = await made(ann, public=True)
    await ann.ask(type="join", room=room)
    epoch = (await bob.ask(type="join", room=room))["epoch"]
    await bob.socket.close()
    for number in range(300):
        await ann.post(f"m{number}", room)
    back = await server.connect(await server.mint(name))
    joined = await back.ask(type="join", room=room, after=2, epoch=epoch)
    assert (joined["recovered"], joined["offset"], joined["newest"]) == (True, 2, 302)
    assert [(await back.receive())["offset"] for _ in range(300)] == list(range(3, 303))
    for after, other in ((2, "elsewhen"), (999, epoch)):
        late = await server.connect(await server.mint(name))
        joined = await late.ask(type="join", room=room, after=after, epoch=other)
        assert (joined["recovered"], joined["offset"]) == (False, joined["newest"])


async def test_a_removed_member_is_told_and_gets_nothing_more(server: Server) -> None:
    """On all connections; coming back to a public room is theirs to decide, unless they are banned."""
    (_, ann), (bob, one) = [await person(server) for _ in range(2)]
    two = await server.connect(await server.token(bob))
    room = await made(ann, public=True)
    for client in (ann, one, two):
        await client.ask(type="join", room=room)
    await ann.ask(type="ban", room=room, user=bob, seconds=60, reason="spam")
    await ann.post("about bob", room)
    for client in (one, two):
        banned = await client.until(type="member", change="banned")
        assert (banned["user"], banned["reason"]) == (bob, "spam")
        assert (await client.until(type="membership"))["change"] == "banned"
        answer = await client.ask(type="post", room=room, message="hi")
        assert answer["code"] == "not_joined"
    refused = await one.ask(type="join", room=room)
    assert refused["code"] == "banned" and 50 < refused["retry_after"] <= 60.01


async def test_history_comes_in_pages_both_ways(server: Server) -> None:
    """From the newest backwards, or from any offset on; `more` says when it ends. HTTP answers the same."""
    _, ann = await person(server)
    room = await made(ann)
    await ann.ask(type="join", room=room)
    for number in range(60):
        await ann.post(f"m{number}", room)
    newest = await ann.ask(type="history", room=room)
    assert [event["offset"] for event in newest["events"]] == list(range(12, 62)) and newest["more"]
    oldest = await ann.ask(type="history", room=room, before=12)
    assert [event["offset"] for event in oldest["events"]] == list(range(1, 12)) and not oldest["more"]
    onwards = await ann.ask(type="history", room=room, after=58, limit=2)
    assert [event["offset"] for event in onwards["events"]] == [59, 60] and onwards["more"]


async def test_http_does_the_same(server: Server) -> None:
    """Create, invite, join, post, read, list."""
    ann, bob = new_name(), new_name()
    headers = {name: {"Authorization": f"Bearer {await server.token(name)}"} for name in (ann, bob)}

    def call(who: str, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        status, _, answer = server.get(path, method=method, body=body or None, headers=headers[who])
        return status, json.loads(answer)

    status, room = call(ann, "POST", "/api/rooms", title="Book club")
    assert status == 201
    path = f"/api/rooms/{room['room']}"
    status, problem = call(bob, "GET", path)
    assert (status, problem["reason"]) == (404, "room_unknown")
    assert call(ann, "POST", f"{path}/invite", user=bob)[0] == 200
    assert [row["role"] for row in call(bob, "GET", "/api/rooms")[1]["rooms"]] == ["member", "invited"]
    assert call(bob, "POST", f"{path}/join", id="j")[0] == 200
    assert call(bob, "POST", f"{path}/post", message="hi", id="p")[1] == {"room": room["room"], "offset": 4}
    assert call(bob, "POST", f"{path}/post", message="hi", id="p")[1] == {"room": room["room"], "offset": 4}
    assert call(ann, "GET", f"{path}/events")[1]["events"][-1]["message"] == "hi"
    assert call(ann, "GET", "/api/rooms")[1]["rooms"][1]["unread"] == 1
    assert call(bob, "POST", f"{path}/kick", user=ann)[1]["reason"] == "forbidden"
    assert [row["user"] for row in call(ann, "GET", f"{path}/members")[1]["members"]] == [ann, bob]
    assert [row["action"] for row in call(ann, "GET", f"{path}/audit")[1]["entries"]] == ["join", "invite", "create"]


async def test_a_resume_makes_nobody_a_member(server: Server) -> None:
    """Who was removed from a public room while away learns it, and comes back only by asking to come in."""
    (_, ann), (bob, one) = [await person(server) for _ in range(2)]
    room = await made(ann, public=True)
    joined = await one.ask(type="join", room=room)
    await one.socket.close()
    await ann.ask(type="kick", room=room, user=bob)
    back = await server.connect(await server.token(bob))
    answer = await back.ask(type="join", room=room, after=joined["offset"], epoch=joined["epoch"])
    assert (answer["type"], answer["code"], answer["room"]) == ("error", "removed", room)
    assert (await back.ask(type="join", room=room))["role"] == "member"
