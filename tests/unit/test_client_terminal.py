"""The terminal chat: what is typed becomes verbs, and nothing that others write steers the terminal."""

from __future__ import annotations

import asyncio
import io
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import Connected, Disconnected, Event, Message, Presence, SignIn, Token, Waiting
from client.__main__ import arguments, credential
from client.console import Console
from client.printable import line, printable
from client.terminal import Terminal
from tests.patience import until
from tests.unit.scripted import Peer, scripted


class Typist(io.StringIO):
    """An input that a test writes into as it goes; no terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[str] = []
        self.ended = False

    def readline(self, _size: int = -1) -> str:  # type: ignore[override]
        until(lambda: self.given or self.ended, "something is typed")
        return f"{self.given.pop(0)}\n" if self.given else ""


@dataclass
class Seat:
    """A person at the terminal, and the server's side of their connection."""

    peer: Peer
    typist: Typist
    shown: io.StringIO
    running: asyncio.Task[None]
    notices: list[Any]

    def type(self, text: str) -> None:
        self.typist.given.append(text)

    async def shows(self, text: str) -> None:
        await asyncio.to_thread(until, lambda: text in self.shown.getvalue(), f"{text!r} is shown")


@asynccontextmanager
async def seat() -> AsyncIterator[Seat]:
    """Somebody in the lobby, whose history is empty."""
    async with scripted() as script:
        typist, shown = Typist(), io.StringIO()
        terminal = Terminal(Console(typist, shown))
        client = script.client()
        client._notify = client._calls._notify = terminal.notify
        running = asyncio.create_task(terminal.run(client, "lobby"))
        peer = await script.peer()
        await peer.join()
        await page(peer)
        one = Seat(peer, typist, shown, running, script.notices)
        yield one
        typist.ended = True
        if not running.done():
            await peer.ack(await peer.expect(type="ping"))
        await running


async def page(peer: Peer, *events: dict[str, Any], room: str = "lobby") -> None:
    """Answer what entering a room asks for."""
    frame = await peer.expect(type="history", room=room)
    await peer.send(type="history", id=frame["id"], room=room, epoch="e1", events=events, more=False)


COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("hello, all", {"type": "post", "message": "hello, all"}),
    ("//shrug", {"type": "post", "message": "/shrug"}),
    ("/invite bob", {"type": "invite", "user": "bob"}),
    ("/kick bob too much noise", {"type": "kick", "user": "bob", "reason": "too much noise"}),
    ("/ban bob 60 noise", {"type": "ban", "user": "bob", "seconds": 60.0, "reason": "noise"}),
    ("/ban bob for good", {"type": "ban", "user": "bob", "reason": "for good"}),
    ("/unban bob", {"type": "unban", "user": "bob"}),
    ("/mute bob 5", {"type": "mute", "user": "bob", "seconds": 5.0}),
    ("/unmute bob", {"type": "unmute", "user": "bob"}),
    ("/role bob moderator", {"type": "set_role", "user": "bob", "role": "moderator"}),
    ("/edit 3 better words", {"type": "edit", "target": 3, "message": "better words"}),
    ("/delete 3", {"type": "delete", "target": 3}),
]


@pytest.mark.parametrize(("typed", "sent"), COMMANDS, ids=[typed for typed, _ in COMMANDS])
async def test_a_line_becomes_a_verb(typed: str, sent: dict[str, Any]) -> None:
    """One that the server understands."""
    async with seat() as one:
        one.type(typed)
        frame = await one.peer.receive()
        assert frame == {"room": "lobby", "id": frame["id"], **sent} and one.peer.parsed(frame)
        await one.peer.ack(frame, 4)


async def test_lists_are_shown() -> None:
    """Rooms with what is unread, members with their roles, history with its offsets."""
    row = {"room": "tea-1", "title": "Tea \x1b[2J time", "public": True, "archived": False, "role": "owner"}
    row |= {"members": 3, "offset": 9, "read": 2, "unread": 1}
    said = {"type": "message", "room": "lobby", "offset": 8, "sender": "bob", "timestamp": 1.0, "message": "hi"}
    async with seat() as one:
        one.type("/rooms public")
        frame = await one.peer.expect(type="rooms", public=True)
        await one.peer.send(type="rooms", id=frame["id"], rooms=[row])
        await one.shows("tea-1  Tea [2J time (public, 3 members, owner, 1 unread)")
        one.type("/members")
        frame = await one.peer.expect(type="members")
        members = [{"user": "bob", "role": "moderator", "online": True, "muted_until": -1}]
        await one.peer.send(type="members", id=frame["id"], room="lobby", members=members)
        await one.shows("bob (moderator, muted) here")
        one.type("/history 9")
        frame = await one.peer.expect(type="history", before=9)
        await one.peer.send(type="history", id=frame["id"], room="lobby", epoch="e1", events=[said], more=True)
        await one.shows("8  bob: hi")
        await one.shows("/history 8 for what was before")


async def test_rooms_are_entered_made_and_left() -> None:
    """What is said next goes to the room in view; in none, a sentence says so."""
    async with seat() as one:
        one.type("/create public Tea time")
        frame = await one.peer.expect(type="create", title="Tea time", public=True)
        await one.peer.send(type="ack", id=frame["id"], room="tea-1", offset=1)
        await one.peer.join("tea-1", 1)
        one.type("/leave")
        await one.peer.ack(await one.peer.expect(type="leave", room="tea-1"), 2)
        await one.shows("You left tea-1")
        one.type("hello?")
        await one.shows("You are in no room")
        one.type("/join lobby")
        await page(one.peer)
        one.type("hello, all")
        await one.peer.ack(await one.peer.expect(type="post", room="lobby"), 1)


async def test_what_is_refused_or_not_understood_is_said() -> None:
    """In the server's own words, with the wait; the chat goes on."""
    async with seat() as one:
        one.type("hello, all")
        await one.peer.refuse(await one.peer.expect(type="post"), "muted", retry_after=60.0)
        await one.shows("! No. Again in 60 s.")
        for typed, said in (
            ("/dance", "/dance is not known"),
            ("/invite", "/invite USER"),
            ("/delete x", "/delete OFF"),
        ):
            one.type(typed)
            await one.shows(said)
        one.type("/help")
        await one.shows("leave a room, or decline an invitation")


async def test_a_throttle_is_told_with_its_seconds_and_waited_out() -> None:
    """The message is not lost."""
    async with seat() as one:
        one.type("hello, all")
        first = await one.peer.expect(type="post")
        await one.peer.refuse(first, "rate_limited", limit="posts_per_user", retry_after=0.2)
        await one.shows("* Too fast (posts_per_user): sent again in 0 s.")
        await one.peer.ack(await one.peer.expect(type="post", id=first["id"]), 1)


async def test_what_arrives_is_one_safe_line_each() -> None:
    """Also an invitation, a removal and the loss of the connection."""
    async with seat() as one:
        await one.peer.message(1, message="a\nb\x1b]0;title\x07\u202e")
        await one.shows("1  bob: a ⏎ b]0;title\n")
        await one.peer.send(type="membership", room="tea-1", change="invited", sender="bob")
        await one.shows("/join tea-1, or /leave tea-1 to decline")
        kick = {
            "type": "member",
            "change": "kicked",
            "user": "alice",
            "sender": "bob",
            "timestamp": 1.0,
            "reason": "no",
        }
        await one.peer.send(room="lobby", offset=2, **kick)
        await one.shows("* bob kicked alice (no)")
        await one.shows("* You are not in lobby any more: kicked.")
        assert "\x1b" not in one.shown.getvalue()


async def test_quit_ends_it() -> None:
    """And signs nothing of the credential onto the screen."""
    async with seat() as one:
        one.type("/quit")
        await one.peer.ack(await one.peer.expect(type="ping"))
        await one.running
        assert await one.peer.closed() == 1000


def test_the_connection_is_told_about() -> None:
    """Lost, and there again."""
    shown = io.StringIO()
    terminal = Terminal(Console(io.StringIO(), shown))
    for notice in (Connected(again=False), Disconnected("draining", 3.0), Connected(again=True)):
        terminal.notify(notice)
    terminal.notify(Waiting("post", "lobby", "busy", None, 1.0))
    assert shown.getvalue().splitlines() == [
        "* No connection (draining). Next attempt in 3 s.",
        "* Connected again.",
        "* Too fast (busy): sent again in 1 s.",
    ]


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_printable_steers_a_terminal(text: str) -> None:
    """Whatever somebody writes: one line, no control and no invisible format character."""
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u200b\u061c")


def test_what_people_write_stays_as_it_is() -> None:
    """Emoji made of several, and right-to-left scripts."""
    for text in ("👩‍💻 café", "שלום", "می‌خواهم"):
        assert printable(text) == text


def test_lines_say_where_and_who() -> None:
    """The room only where it is another one than in view; kinds that are not known say nothing."""
    message = Message(room="tea-1", offset=3, sender="bob", timestamp=0.0, message="hi")
    assert "[tea-1] 3  bob: hi" in (line(message, "lobby") or "")
    assert "[tea-1]" not in (line(message, "tea-1") or "")
    assert line(Event(room="t", offset=1, sender="b", timestamp=0.0), "t") is None
    assert line(Presence(room="t", joined=(), left=()), "t") is None


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """Never from the arguments; a token file is read anew, its first line counts."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse\nsecond line\n")
    by_name = credential(arguments(["--name", "alice", "--password-file", str(secret)]))
    assert isinstance(by_name, SignIn) and by_name._password == "correct horse"
    by_token = credential(arguments(["--token-file", str(secret)]))
    assert isinstance(by_token, Token) and by_token.renews
    for wrong in ([], ["--name", "a", "--token-file", "b"]):
        with pytest.raises(SystemExit):
            arguments(wrong)
