"""A room and what can be done in it. Every verb may raise Refused, Throttled, Unconfirmed or Ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from client.errors import Garbled
from client.frames import AuditRow, Event, Fields, HistoryPage, MemberChanged, MemberRow, RoomChanged, event, row
from client.resume import Position


class Ask(Protocol):
    """Sends a verb until it is answered; the answer's frame."""

    async def __call__(
        self,
        verb: str,
        *,
        id: str | None = None,  # noqa: A002
        patience: float | None = None,
        **fields: Any,
    ) -> Fields: ...


class Room:
    """`offset` and `epoch` are where this client stands: hand them to `Client.join` to go on there another day."""

    def __init__(self, name: str, ask: Ask, position: Position | None = None) -> None:
        self.name = name
        self.title = ""
        self.role = ""
        self.public = False
        self.archived = False
        self.position = position or Position()
        self.recovered = False
        """Whether the last join went on where this client stood."""
        self.replayed = 0
        """Events up to here were history at the last join."""
        self._ask = ask
        self._posting = asyncio.Lock()

    @property
    def offset(self) -> int:
        """The last event that was passed on."""
        return self.position.offset

    @property
    def epoch(self) -> str | None:
        """What `offset` was counted in; None before the first join."""
        return self.position.epoch

    async def post(self, text: str, *, id: str | None = None, patience: float | None = None) -> int:  # noqa: A002
        """Say something; returns its offset once it is durably stored, exactly once however often it had to be sent.

        Posts of a room are stored in the order of the calls. `patience` bounds the seconds spent on throttles and lost
        connections, 0 raises Throttled at the first one.
        """
        async with self._posting:
            return _offset(await self._do("post", id=id, patience=patience, message=text))

    async def edit(self, target: int, text: str) -> int:
        """Replace the text of an own message; the offset of the edit."""
        return _offset(await self._do("edit", target=target, message=text))

    async def delete(self, target: int, reason: str = "") -> int:
        """Delete an own message, or as owner or moderator anybody's."""
        return _offset(await self._do("delete", target=target, reason=reason or None))

    async def typing(self) -> None:
        """Show that something is being written; repeat every 5 seconds."""
        await self._do("typing")

    async def read(self, offset: int) -> None:
        """Mark everything up to an offset as read, on all of the user's devices."""
        await self._do("read", offset=offset)

    async def history(self, *, before: int | None = None, after: int | None = None, limit: int = 50) -> HistoryPage:
        """One page of at most 50 events: those before an offset (the newest without one), or those after it."""
        answer = await self._do("history", before=before, after=after, limit=limit)
        events = tuple(_event(found) for found in answer["events"])
        return HistoryPage(room=self.name, epoch=answer["epoch"], events=events, more=answer["more"])

    async def members(self) -> list[MemberRow]:
        """Who is in the room, and who of them is there now."""
        return [row(MemberRow, found) for found in (await self._do("members"))["members"]]

    async def audit(self, before: int | None = None) -> tuple[list[AuditRow], bool]:
        """A page of the audit log, newest first, and whether older entries follow."""
        answer = await self._do("audit", before=before)
        return [row(AuditRow, found) for found in answer["entries"]], bool(answer["more"])

    async def leave(self) -> None:
        """End the membership; for an invitation, decline it. In the default room, stop receiving."""
        await self._do("leave")

    async def invite(self, user: str, reason: str = "") -> int:
        """Let a user in."""
        return await self._concern("invite", user, reason)

    async def kick(self, user: str, reason: str = "") -> int:
        """Remove a user, who may come back where they can."""
        return await self._concern("kick", user, reason)

    async def ban(self, user: str, seconds: float | None = None, reason: str = "") -> int:
        """Remove a user and keep them out, for some seconds or for good."""
        return await self._concern("ban", user, reason, seconds=seconds)

    async def unban(self, user: str, reason: str = "") -> int:
        """Lift a ban."""
        return await self._concern("unban", user, reason)

    async def mute(self, user: str, seconds: float | None = None, reason: str = "") -> int:
        """Let a user read and not write, for some seconds or for good."""
        return await self._concern("mute", user, reason, seconds=seconds)

    async def unmute(self, user: str, reason: str = "") -> int:
        """Let them write again."""
        return await self._concern("unmute", user, reason)

    async def set_role(self, user: str, role: str, reason: str = "") -> int:
        """Make a member `owner`, `moderator` or `member`."""
        return await self._concern("set_role", user, reason, role=role)

    async def rename(self, title: str) -> int:
        """Give the room another title."""
        return _offset(await self._do("rename", title=title))

    async def configure(
        self,
        *,
        public: bool | None = None,
        posts_per_second: float | None = None,
        slow_seconds: float | None = None,
    ) -> int:
        """Set anew whatever is named."""
        return _offset(
            await self._do("configure", public=public, posts_per_second=posts_per_second, slow_seconds=slow_seconds)
        )

    async def archive(self) -> int:
        """Close the room: it can be read, not changed."""
        return _offset(await self._do("archive"))

    async def unarchive(self) -> int:
        """Open it again."""
        return _offset(await self._do("unarchive"))

    def entered(self, frame: Fields) -> None:
        """Take over what `joined` says about the room."""
        self.title, self.role = str(frame.get("title", "")), str(frame.get("role", ""))
        self.public, self.archived = bool(frame.get("public")), bool(frame.get("archived"))
        self.recovered = bool(frame.get("recovered"))
        self.replayed = int(frame.get("newest") or 0)

    def passed(self, event: Event, user: str | None) -> None:
        """The event was passed on: stand there, and see what it says about the room."""
        self.position.offset = event.offset
        match event:
            case RoomChanged(change="archived" | "unarchived" as change):
                self.archived = change == "archived"
            case RoomChanged():
                self.title = event.title if event.title is not None else self.title
                self.public = event.public if event.public is not None else self.public
            case MemberChanged(change="role", user=who, role=str(role)) if who == user:
                self.role = role

    async def _concern(self, verb: str, user: str, reason: str, **more: Any) -> int:
        return _offset(await self._do(verb, user=user, reason=reason or None, **more))

    async def _do(self, verb: str, **fields: Any) -> Fields:
        return await self._ask(verb, room=self.name, **fields)


def _event(found: Mapping[str, Any]) -> Event:
    made = event(found)
    if made is None:
        raise Garbled("a page of history holds something else than events")
    return made


def _offset(answer: Fields) -> int:
    offset = answer.get("offset")
    if type(offset) is not int:
        raise Garbled("an ack lacks its offset")
    return offset
