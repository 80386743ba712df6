"""The terminal chat: what a person types becomes verbs, what happens becomes lines."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from client.client import Client
from client.console import Console
from client.errors import ChatError, Ended, Refused
from client.frames import Removed
from client.notices import Connected, Disconnected, Notice, Waiting
from client.printable import line
from client.room import Room

_PAGE: Final = 20
_FAREWELL: Final = 2.0
_SOON: Final = 2.0
"""Shorter waits are not worth a line."""
Command = Callable[[list[str]], Awaitable[None]]


class Usage(ChatError):  # noqa: N818 - it is the person's, not the program's
    """A command was not understood; the text says how it is written."""


class Terminal:
    """One person at one client. Commands run one after the other, so that a script's lines keep their order."""

    def __init__(self, console: Console) -> None:
        self.client: Client | None = None
        self._console = console
        self._room: Room | None = None
        self._counting: asyncio.Task[None] | None = None
        self._commands: dict[str, tuple[str, str, Command]] = {
            "rooms": ("[public]", "your rooms, or the public ones", self._rooms),
            "join": ("ROOM", "enter a room, or look at another one", self._join),
            "leave": ("[ROOM]", "leave a room, or decline an invitation", self._leave),
            "create": ("[public] TITLE", "make a room and enter it", self._create),
            "members": ("", "who is in the room", self._members),
            "history": ("[BEFORE]", "earlier messages", self._history),
            "invite": ("USER", "let somebody in", self._invite),
            "kick": ("USER [WHY]", "remove somebody", self._kick),
            "ban": ("USER [SECONDS] [WHY]", "remove somebody and keep them out", self._ban),
            "unban": ("USER", "lift a ban", self._unban),
            "mute": ("USER [SECONDS] [WHY]", "let somebody read only", self._mute),
            "unmute": ("USER", "let them write again", self._unmute),
            "role": ("USER owner|moderator|member", "give somebody another role", self._role),
            "edit": ("OFFSET TEXT", "replace an own message", self._edit),
            "delete": ("OFFSET", "delete a message", self._delete),
            "help": ("", "this list; a line that begins with // is said with one /", self._help),
            "quit": ("", "leave the chat", self._help),
        }

    async def run(self, client: Client, room: str) -> None:
        """Chat until /quit, the end of the input or the end of the client."""
        self.client = client
        async with client:
            await self._enter(room)
            listening = asyncio.create_task(self._listen(client))
            typing = asyncio.create_task(self._type())
            await asyncio.wait({listening, typing}, return_when=asyncio.FIRST_COMPLETED)
            if typing.done() and client.connected:
                with contextlib.suppress(ChatError, TimeoutError):
                    async with asyncio.timeout(_FAREWELL):
                        await client.ping()  # whatever was said before has arrived then
            await client.close()
            typing.cancel()
            for answer in await asyncio.gather(typing, listening, return_exceptions=True):
                if isinstance(answer, Exception):
                    raise answer

    def notify(self, notice: Notice) -> None:
        """Say at once what the client tells about itself."""
        match notice:
            case Connected(again=True):
                self._console.show("* Connected again.")
            case Disconnected():
                self._console.show(f"* No connection ({notice.reason}). Next attempt in {notice.retry_in:.0f} s.")
            case Waiting() if notice.seconds >= _SOON or not self._console.interactive:
                self._countdown(notice)
            case _:
                pass

    async def _listen(self, client: Client) -> None:
        async for event in client:
            text = line(event, self._room.name if self._room else None)
            if text is not None:
                self._console.show(text)
            if isinstance(event, Removed) and self._room is not None and event.room == self._room.name:
                self._look_at(None)

    async def _type(self) -> None:
        async for typed in self._console.lines():
            if typed.strip() == "/quit":
                return
            try:
                await self._carry_out(typed.strip())
            except Refused as refused:
                self._console.show(f"! {refused.detail or refused.code}{_later(refused.retry_after)}")
            except Ended:
                raise
            except (ChatError, ValueError) as error:
                self._console.show(f"! {error}")

    async def _carry_out(self, typed: str) -> None:
        if not typed:
            return
        if not typed.startswith("/") or typed.startswith("//"):
            await self._here().post(typed.removeprefix("/") if typed.startswith("//") else typed)
            return
        word, *rest = typed[1:].split()
        if word not in self._commands:
            raise Usage(f"/{word} is not known here. /help lists what is.")
        try:
            await self._commands[word][2](rest)
        except (IndexError, ValueError):
            raise Usage(f"Write it as: /{word} {self._commands[word][0]}") from None

    # Commands

    async def _rooms(self, words: list[str]) -> None:
        for row in await self._there().rooms(public=words == ["public"]):
            unread = f", {row.unread} unread" if row.unread else ""
            kind = "archived" if row.archived else "public" if row.public else "private"
            self._console.show(f"  {row.room}  {row.title} ({kind}, {row.members} members, {row.role}{unread})")

    async def _join(self, words: list[str]) -> None:
        (name,) = words
        await self._enter(name)

    async def _enter(self, name: str) -> None:
        self._look_at(await self._there().join(name))
        await self._history([])

    async def _leave(self, words: list[str]) -> None:
        room = self._there().room(words[0]) if words else self._here()
        await room.leave()
        if self._room is not None and room.name == self._room.name:
            self._look_at(None)
        self._console.show(f"* You left {room.name}. /join another room.")

    async def _create(self, words: list[str]) -> None:
        public = words[0] == "public" and len(words) > 1
        self._look_at(await self._there().create(" ".join(words[public:]), public=public))

    async def _members(self, _: list[str]) -> None:
        for row in await self._here().members():
            muted = ", muted" if row.muted_until else ""
            self._console.show(f"  {row.user} ({row.role}{muted}){' here' if row.online else ''}")

    async def _history(self, words: list[str]) -> None:
        page = await self._here().history(before=int(words[0]) if words else None, limit=_PAGE)
        for event in page.events:
            self._console.show(line(event, page.room) or "")
        if page.more:
            self._console.show(f"  /history {page.events[0].offset} for what was before.")

    async def _invite(self, words: list[str]) -> None:
        (user,) = words
        await self._here().invite(user)

    async def _kick(self, words: list[str]) -> None:
        await self._here().kick(words[0], " ".join(words[1:]))

    async def _ban(self, words: list[str]) -> None:
        user, seconds, why = _timed(words)
        await self._here().ban(user, seconds, why)

    async def _unban(self, words: list[str]) -> None:
        (user,) = words
        await self._here().unban(user)

    async def _mute(self, words: list[str]) -> None:
        user, seconds, why = _timed(words)
        await self._here().mute(user, seconds, why)

    async def _unmute(self, words: list[str]) -> None:
        (user,) = words
        await self._here().unmute(user)

    async def _role(self, words: list[str]) -> None:
        user, role = words
        await self._here().set_role(user, role)

    async def _edit(self, words: list[str]) -> None:
        await self._here().edit(int(words[0]), " ".join(words[1:]))

    async def _delete(self, words: list[str]) -> None:
        (target,) = words
        await self._here().delete(int(target))

    async def _help(self, _: list[str]) -> None:
        for word, (usage, meaning, _command) in self._commands.items():
            self._console.show(f"  /{word} {usage}".ljust(38) + meaning)

    # What is shown

    def _look_at(self, room: Room | None) -> None:
        self._room = room
        self._console.prompt = f"{room.name}> " if room else "> "
        if room is not None:
            self._console.show(f"* {room.title or room.name}: you are {room.role} here. /help lists the commands.")

    def _there(self) -> Client:
        assert self.client is not None  # noqa: S101 - commands only run while it does
        return self.client

    def _here(self) -> Room:
        if self._room is None:
            raise Usage("You are in no room. /rooms lists yours, /join ROOM enters one.")
        return self._room

    def _countdown(self, notice: Waiting) -> None:
        self._console.show(f"* Too fast ({notice.limit or notice.code}): sent again in {notice.seconds:.0f} s.")
        if self._counting is not None:
            self._counting.cancel()
        if self._console.interactive:
            self._counting = asyncio.create_task(self._count(notice.seconds))

    async def _count(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        with contextlib.suppress(asyncio.CancelledError):
            while (left := ends - time.monotonic()) > 0:
                self._console.status(f"* Sent again in {left:.0f} s.")
                await asyncio.sleep(min(1.0, left))
        self._console.status("")


def _timed(words: list[str]) -> tuple[str, float | None, str]:
    """`USER [SECONDS] [WHY]`."""
    seconds = float(words[1]) if len(words) > 1 and words[1].replace(".", "", 1).isdigit() else None
    return words[0], seconds, " ".join(words[1 if seconds is None else 2 :])


def _later(seconds: float | None) -> str:
    return "" if seconds is None else f" Again in {seconds:.0f} s."
