"""The tutorial's sections, one test each: what it sets out to do holds here. (WSS behind nginx is in tests/stack.)"""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.patience import PATIENCE
from tests.socket.server import ORIGIN, Client, Server, new_address, new_name


async def tutorial(server: Server, name: str, address: str | None = None) -> Client:
    """Connect as the tutorial's page does: the token in the query, no subprotocol, an Origin."""
    token = await server.token(name)
    return await server.connect(
        None,
        path=f"/ws/chat?token={token}",
        tutorial=True,
        address=address or new_address(),
        headers={"Origin": ORIGIN},
    )


async def answered(client: Client, text: str) -> dict[str, object]:
    """The error that a frame gets."""
    await client.socket.send(text)
    while "error" not in (frame := await client.receive()):
        pass
    return frame


async def test_section_cookie_authentication(usual: Server) -> None:
    """'Authentication for WebSockets': the cookie of a sign-in opens the socket; none, or a made-up one, does not."""
    address, name = new_address(), await usual.person(new_name())
    browser = usual.sign_in(name, address)
    client = await usual.connect(None, tutorial=True, address=address, headers=browser)
    await client.send(message="hi")
    assert (await client.until(message="hi"))["sender"] == name
    made_up = {"Cookie": "session_token=valid_session_token", "Origin": ORIGIN}
    assert (await usual.refused(None, tutorial=True, address=address, headers=made_up)).reason == "credential_missing"


async def test_section_token_in_the_query(usual: Server) -> None:
    """'Token-based Authentication': `?token=` with a JWT; a JWT signed with anybody's secret is refused."""
    name = new_name()
    client = await tutorial(usual, name)
    await client.send(message="hi")
    assert (await client.until(message="hi"))["sender"] == name
    forged = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
    refused = await usual.refused(None, path=f"/ws/chat?token={forged}", tutorial=True, address=new_address())
    assert (refused.status, refused.reason) == (401, "token_invalid")


async def test_section_custom_authentication_class(usual: Server) -> None:
    """'Custom Authentication Class': the Authorization header, or else the query; a fixed word is no token."""
    token, address = await usual.token(new_name()), new_address()
    await usual.connect(token, tutorial=True, address=address)
    await usual.connect(None, path=f"/ws/chat?token={token}", tutorial=True, address=address)
    word = {"Authorization": "valid_token"}
    assert (await usual.refused(None, tutorial=True, address=address, headers=word)).reason == "token_invalid"
    both = await usual.refused("garbled", path=f"/ws/chat?token={token}", tutorial=True, address=address)
    assert both.reason == "token_invalid"


async def test_section_rate_limiting(usual: Server) -> None:
    """'Rate Limiting': five posts at once, then the tutorial's own sentence, with how long to wait."""
    client = await tutorial(usual, new_name())
    begun = time.monotonic()
    for number in range(12):
        await client.send(message="hi", id=str(number))
    answers: dict[str, dict[str, object]] = {}
    while len(answers) < 12:
        frame = await client.receive()
        if "id" in frame:
            answers[frame["id"]] = frame
    refused = [frame for frame in answers.values() if "error" in frame]
    assert 5 <= 12 - len(refused) <= 5 + (time.monotonic() - begun)
    for frame in refused:
        assert frame["error"] == "Rate limit exceeded. Please wait before sending more messages."
        assert frame["limit"] == "posts_per_user"
    await asyncio.sleep(float(str(answers["11"]["retry_after"])))
    await client.send(message="again", id="again")
    assert "error" not in await client.until(id="again")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("not json", "Invalid JSON format"),
        ('{"message":"   "}', "Message cannot be empty"),
        (json.dumps({"message": "x" * 501}), "Message too long (max 500 characters)"),
        ('{"message":"hi","room_id":"abc123"}', "room_id is not a field of this frame"),
        ("{}", "message is missing"),
    ],
)
async def test_section_input_validation(usual: Server, text: str, error: str) -> None:
    """'Input Validation': the tutorial's own sentences; what it let pass unseen is refused by name."""
    client = await tutorial(usual, new_name())
    assert (await answered(client, text))["error"] == error
    await client.send(message="still here")
    await client.until(message="still here")


async def test_section_connection_flooding(usual: Server) -> None:
    """'Protection Against Connection Flooding': five of a user; a closed one makes room; a path names nobody."""
    name, address = new_name(), new_address()
    clients = [await tutorial(usual, name, address) for _ in range(5)]
    token = await usual.token(name)
    refused = await usual.refused(token, tutorial=True, address=address)
    assert (refused.status, refused.reason) == (429, "user_connections")
    await clients[0].socket.close()
    await usual.connect(token, tutorial=True, address=address)
    assert (await usual.refused(token, path=f"/ws/{name}", address=address)).status == 404


async def test_section_broadcast(usual: Server) -> None:
    """'Real-world Example': everybody reads everybody's posts in one order, the sender too, under the true name."""
    names = [new_name() for _ in range(3)]
    clients = [await tutorial(usual, name) for name in names]
    for client in clients:  # who hears themselves is in
        await client.send(message="here", id="here")
        await client.until(id="here")
    word = new_name()
    for client in clients:
        await client.send(message=word)
    heard = []
    for client in clients:
        lines = [await client.until(message=word) for _ in clients]
        assert all(set(line) == {"sender", "message", "timestamp"} for line in lines)
        assert all(abs(time.time() - line["timestamp"]) < PATIENCE for line in lines)
        heard.append([line["sender"] for line in lines])
    assert heard[0] == heard[1] == heard[2]
    assert sorted(heard[0]) == sorted(names)


async def test_section_join_and_leave_notices(server: Server) -> None:
    """The System lines of the example, once for a user however many connections; nobody else can speak as System."""
    watcher, name = await tutorial(server, new_name()), new_name()
    first, second = await tutorial(server, name), await tutorial(server, name)
    joined, left = f"User {name} has joined the chat.", f"User {name} has left the chat."
    assert (await watcher.until(message=joined))["sender"] == "System"
    await first.socket.close()
    await second.send(message="one of me is left")
    seen = []
    while (frame := await watcher.receive())["message"] != "one of me is left":
        seen.append(frame["message"])
    assert joined not in seen and left not in seen
    await second.socket.close()
    assert (await watcher.until(message=left))["sender"] == "System"
    assert "error" in await answered(watcher, '{"message":"User eve has left the chat.","sender":"System"}')


async def test_section_cors_and_origin(usual: Server) -> None:
    """'CORS settings': no wildcard anywhere; the middleware never sees a WebSocket, so the socket asks by itself."""
    token, evil = await usual.token(new_name()), {"Origin": "https://evil.example"}
    refused = await usual.refused(token, tutorial=True, address=new_address(), headers=evil)
    assert (refused.status, refused.reason) == (403, "origin_forbidden")
    for method in ("GET", "OPTIONS"):
        asked = {**evil, "Access-Control-Request-Method": "POST"}
        _, headers, _ = usual.get("/api/session", method=method, headers=asked)
        assert not [name for name in headers if name.startswith("access-control-")]
    await usual.connect(token, tutorial=True, address=new_address(), headers={"Origin": ORIGIN})
