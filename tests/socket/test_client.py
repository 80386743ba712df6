"""The client library against the real server: kills, drains, credentials, and its programs as people start them."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.model import RoomId, UserName
from certs.authority import ensure
from client import (
    Backoff,
    Client,
    Disconnected,
    Ended,
    MemberChanged,
    Message,
    Notice,
    Refreshed,
    Removed,
    Room,
    SignIn,
    Throttled,
    Ticket,
    Token,
    Waiting,
)
from examples import bot
from tests.patience import PATIENCE, until
from tests.socket.conftest import Serve
from tests.socket.server import PASSWORD, ROOT, Server, new_address, new_name


def soon() -> Backoff:
    """The clients here need not spare the server."""
    return Backoff(0.2, 1.0)


async def client(server: Server, name: str | None = None, **options: Any) -> Client:
    """A client over the server's Unix socket."""
    credential = options.pop("credential", None) or Token(await server.token(name or new_name()))
    options.setdefault("backoff", soon())
    path = str(server.state / "run" / "app.sock")
    headers = {"X-Real-IP": options.pop("address", None) or new_address()}
    return Client("ws://localhost", credential, headers=headers, unix=True, path=path, **options)


async def collect(one: Client, last: str) -> list[Message]:
    """Messages up to the one that says `last`."""
    found = []
    async for event in one:
        if isinstance(event, Message):
            found.append(event)
            if event.message == last:
                break
    return found


async def test_posts_and_events_survive_three_kills(serve: Serve) -> None:
    """kill -9 of the worker under three posters: each post is acked once and seen once, in order, by all."""
    server = serve()
    clients = [await client(server, f"poster{number}") for number in range(3)]
    watcher = await client(server, "watcher")
    for one in (*clients, watcher):
        await one.open()
    rooms = [await one.join("lobby") for one in (*clients, watcher)]
    acked: dict[str, int] = {}

    async def post(number: int, room: Room) -> None:
        for count in range(60):
            text = f"{number}-{count}"
            acked[text] = await room.post(text)

    async def kill() -> None:
        for least in (20, 60, 100):
            await asyncio.to_thread(until, lambda least=least: len(acked) >= least, "posts are acked")
            (worker,) = server.workers()
            os.kill(worker, signal.SIGKILL)
            await asyncio.to_thread(until, lambda worker=worker: server.workers() not in ([], [worker]), "a new worker")

    seen = [asyncio.create_task(collect(one, "the end")) for one in (*clients, watcher)]
    await asyncio.gather(kill(), *(post(number, room) for number, room in enumerate(rooms[:3])))
    acked["the end"] = await rooms[3].post("the end")
    for found in await asyncio.gather(*seen):
        assert [one.offset for one in found] == list(range(1, 182))
        assert {one.message: one.offset for one in found} == acked
    await asyncio.gather(*(one.close() for one in (*clients, watcher)))


async def test_a_drain_is_left_and_come_back_from_as_hinted(serve: Serve) -> None:
    """`going_away` says when; posts meanwhile are acked in the end, once."""
    server = serve(drain_seconds=2, graceful_seconds=4)
    notices: list[Any] = []
    async with await client(server, "alice", notify=notices.append) as alice:
        lobby = await alice.join("lobby")
        assert await lobby.post("before") == 1
        os.kill(server.workers()[0], signal.SIGTERM)
        await asyncio.to_thread(until, lambda: any(isinstance(one, Disconnected) for one in notices), "it is told")
        assert await lobby.post("after") == 2
        assert [one.offset for one in await collect(alice, "after")] == [1, 2]
    (first, *_) = [one for one in notices if isinstance(one, Disconnected)]
    assert first.reason == "restart" and 0.2 <= first.retry_in <= 1.0


async def test_sixty_four_rooms_come_back_without_a_throttle(usual: Server) -> None:
    """Under the default limits, after a cut; what was said meanwhile is there once."""
    name, other, notices = new_name(), new_name(), list[Any]()
    credential = Token(await usual.token(name))
    async with usual.store() as store:
        for number in range(63):
            created = await store.create_room(
                RoomId(f"{name}-{number}"), f"Room {number}", True, UserName(name), None, 64
            )
            assert hasattr(created, "event"), created
    async with (
        await client(usual, credential=credential, notify=notices.append) as one,
        await client(usual, other) as two,
    ):
        names = ["lobby", *(f"{name}-{number}" for number in range(63))]
        await asyncio.gather(*(one.join(room) for room in names))
        theirs = await two.join(names[-1])
        link = one._calls.link
        assert link is not None
        link._socket.transport.abort()
        await theirs.post("meanwhile")
        (message,) = await collect(one, "meanwhile")
        assert message.room == names[-1]
        await asyncio.to_thread(until, lambda: one._rooms.live == set(names), "all are live again")
    assert not [notice for notice in notices if isinstance(notice, Waiting)]


async def test_a_peer_that_vanishes_is_noticed_within_ten_seconds(server: Server) -> None:
    """A relay that swallows everything: the client leaves it, comes back on another way and has missed nothing."""
    notices: list[Any] = []
    other = await client(server)
    async with relay(server) as (port, freeze), other:
        theirs = await other.join("lobby")
        one = Client(
            f"ws://localhost:{port}",
            Token(await server.token(new_name())),
            headers={"X-Real-IP": new_address()},
            notify=notices.append,
            backoff=soon(),
        )
        async with one:
            await one.join("lobby")
            freeze.set()
            began = time.monotonic()
            await theirs.post("into the dark")
            await asyncio.to_thread(until, lambda: any(isinstance(n, Disconnected) for n in notices), "it is noticed")
            assert time.monotonic() - began <= 10
            freeze.clear()
            assert [one.message for one in await collect(one, "into the dark")] == ["into the dark"]


@asynccontextmanager
async def relay(server: Server) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """TCP to the server's Unix socket. Connections that exist while `freeze` is set are silent from then on."""
    freeze, opened, dead = asyncio.Event(), list[asyncio.StreamWriter](), set[int]()

    async def pump(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if freeze.is_set():
                dead.add(number)
            if number not in dead:
                writer.write(data)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(server.state / "run" / "app.sock"))
        number = len(opened)
        opened.extend((writer, back))
        await asyncio.gather(pump(number, reader, back), pump(number, there, writer), return_exceptions=True)

    listening = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], freeze
    finally:
        listening.close()
        for writer in opened:
            writer.transport.abort()


async def test_every_credential_opens_the_chat_and_is_renewed(serve: Serve, tmp_path: Path) -> None:
    """Cookie and ticket by sign-in, ticket by token; a refresh before the end keeps the connection."""
    limits = {"session_absolute_seconds": 8, "expiring_notice_seconds": 5}
    async with edge(serve, tmp_path, **limits) as (server, url, ca):
        name = await server.person("alice")
        token = await server.mint(name)
        for credential in (SignIn(name, PASSWORD), Ticket(SignIn(name, lambda: PASSWORD)), Ticket(Token(token))):
            news = News()
            async with Client(url, credential, tls=ssl.create_default_context(cafile=ca), notify=news.append) as one:
                assert one.name == "alice"
                lobby = await one.join("lobby")
                await lobby.post("here")
                if credential.renews:
                    await news.has(Refreshed)
                    await lobby.post("still here")
                assert not news.of(Disconnected)


async def test_a_revoked_session_ends_the_client_for_good(serve: Serve, tmp_path: Path) -> None:
    """The close code is terminal: Ended with its word, no second attempt."""
    async with edge(serve, tmp_path) as (server, url, ca):
        credential, news = SignIn(await server.person("alice"), PASSWORD), News()
        async with Client(url, credential, tls=ssl.create_default_context(cafile=ca), notify=news.append) as one:
            await one.join("lobby")
            await credential.close(one._api)  # signs out, which revokes what descends from the session
            with pytest.raises(Ended, match="revoked"):
                async for _ in one:
                    pass
        assert not news.of(Disconnected)


class News(list[Notice]):
    """What a client tells about itself."""

    def of(self, kind: type[Notice]) -> list[Any]:
        return [one for one in self if isinstance(one, kind)]

    async def has(self, kind: type[Notice]) -> None:
        """Return once it was told."""
        await asyncio.to_thread(until, lambda: self.of(kind), f"{kind.__name__} is told")


@asynccontextmanager
async def edge(serve: Serve, folder: Path, **settings: object) -> AsyncIterator[tuple[Server, str, Path]]:
    """TLS before a server, as nginx would do it: ends TLS and says the client's address. With its URL and its CA."""
    ensure(folder / "tls", ("localhost",))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "tls" / "server.pem", folder / "tls" / "server.key")
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"https://localhost:{listening.getsockname()[1]}"
    server = serve(origins=url, issuer=url, sign_ins_per_account_and_address_per_minute=50, **settings)
    opened: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        there, back = await asyncio.open_unix_connection(str(server.state / "run" / "app.sock"))
        opened.append(back)
        back.write(await reader.readline() + b"X-Real-IP: 192.0.2.9\r\n")
        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

    front = await asyncio.start_server(connect, sock=listening, ssl=tls)
    try:
        yield server, url, folder / "tls" / "ca.pem"
    finally:
        front.close()
        for writer in opened:
            if not writer.is_closing():
                writer.transport.abort()


async def test_throttles_are_waited_out_or_raised(usual: Server) -> None:
    """Under the default limits: eight posts in a row are all stored, and with patience 0 the sixth raises."""
    notices: list[Any] = []
    async with await client(usual, notify=notices.append) as one:
        room = await one.create("Haste")
        offsets = [await room.post(f"{number}") for number in range(8)]
        assert offsets == list(range(offsets[0], offsets[0] + 8))
        assert {notice.limit for notice in notices if isinstance(notice, Waiting)} == {"posts_per_user"}
        with pytest.raises(Throttled) as throttled:
            for number in range(8):
                await room.post(f"again {number}", patience=0)
        assert throttled.value.limit == "posts_per_user" and throttled.value.retry_after is not None


async def test_every_verb_meets_its_server(server: Server) -> None:
    """An owner and a guest go through a room's whole life, in typed methods."""
    owner_name, guest_name = new_name(), new_name()
    async with await client(server, owner_name) as owner, await client(server, guest_name) as guest:
        room = await owner.create("Tea time", public=True)
        assert room.role == "owner" and room.name in {row.room for row in await guest.rooms(public=True)}
        theirs = await guest.join(room.name)
        said = await theirs.post("hello, all")
        await theirs.edit(said, "hello!")
        await theirs.typing()
        await theirs.read(said)
        await room.rename("Tee")
        await room.configure(slow_seconds=0.5)
        await room.set_role(guest_name, "moderator")
        await room.delete(said, "no")
        assert {(row.user, row.role) for row in await room.members()} == {
            (owner_name, "owner"),
            (guest_name, "moderator"),
        }
        await room.set_role(guest_name, "member")
        await room.mute(guest_name, 60)
        await room.unmute(guest_name)
        await room.kick(guest_name, "enough")
        await until_removed(guest, room.name, "kicked")
        await room.ban(guest_name, 60)
        await room.unban(guest_name)
        await room.configure(public=False)
        await room.invite(guest_name)
        assert (await guest.join(room.name)).title == "Tee"
        await guest.joined[room.name].leave()
        await room.archive()
        await room.unarchive()
        page = await room.history(limit=50)
        assert [event.offset for event in page.events] == list(range(1, room.offset + 1))
        entries, more = await room.audit()
        assert len(entries) >= 12 and not more
        await owner.ping()


async def until_removed(one: Client, room: str, reason: str) -> None:
    """The removing event, then the Removed of the room."""
    events = []
    async for event in one:
        events.append(event)
        if isinstance(event, Removed):
            assert event == Removed(room=room, reason=reason)
            assert isinstance(events[-2], MemberChanged)
            return


async def test_the_bot_of_fifteen_lines_answers(serve: Serve, tmp_path: Path) -> None:
    """examples/bot.py, its `main` as it stands."""
    source = (ROOT / "examples" / "bot.py").read_text()
    assert sum(bool(text.strip()) for text in source.split("\n")) <= 15
    secret = secret_file(tmp_path, PASSWORD)
    async with edge(serve, tmp_path) as (server, url, ca), await client(server, "alice") as alice:
        name = await server.person("pingbot")
        lobby = await alice.join("lobby")
        running = asyncio.create_task(bot.main(url, name, str(secret), str(ca)))
        async with asyncio.timeout(PATIENCE):
            while not any(row.user == name and row.online for row in await lobby.members()):
                await asyncio.wait({running}, timeout=0.1)
            await lobby.post("!ping")
            assert [one.message for one in await collect(alice, "pong, alice")] == ["!ping", "pong, alice"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_terminal_chat_works_in_a_pipe_and_on_a_terminal(serve: Serve, tmp_path: Path) -> None:
    """Lines in, lines out, exit code 0, and neither token nor escape sequence of others on the screen."""
    async with edge(serve, tmp_path) as (server, url, ca):
        token = await server.token("alice")
        secret = secret_file(tmp_path, token)
        words = [sys.executable, "-m", "client", "--url", url, "--token-file", str(secret), "--ca", str(ca)]
        lines = "hello\n/members\n/create Tea\nmore\n"
        code, shown = await asyncio.to_thread(piped, words, lines)
        assert code == 0, shown
        for said in ("alice: hello", "alice (member) here", "Tea: you are owner here", "alice: more"):
            assert said in shown
        assert token not in shown and "\x1b" not in shown
        seen = await asyncio.to_thread(typed, words, ["hello again", "/quit"])
        assert "alice: hello again" in seen and token not in seen


def secret_file(folder: Path, secret: str) -> Path:
    """A file of the kind that people keep a password in, where secrets may be."""
    file = folder / "secrets" / "own"
    file.parent.mkdir()
    file.write_text(secret + "\n")
    return file


def piped(words: list[str], lines: str) -> tuple[int, str]:
    """The exit code, and everything that was said."""
    done = subprocess.run(words, input=lines, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def typed(words: list[str], lines: list[str]) -> str:
    """What a person sees who types these lines at a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True) as process:
        os.close(theirs)
        shown = ""
        for line in lines:
            while "lobby> " not in shown.rpartition("\n")[2]:
                shown += os.read(ours, 4096).decode()
            os.write(ours, f"{line}\n".encode())
            shown += "\n"
        assert process.wait(30) == 0
        os.set_blocking(ours, False)
        shown += os.read(ours, 65536).decode()
    os.close(ours)
    return shown
