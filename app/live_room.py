"""A room as one process serves it: who is live in it, where delivery stands, and what was delivered last."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from app.connection import Connection
from app.limiter import Rate
from app.model import Entry, Event, EventKind, RoomId, RoomState, UserName
from app.protocol import Profile
from app.roles import Role

_RECENT: Final = 64
"""Events kept for those who come right back: the store is asked for older ones. About 25 KiB a live room."""
_REMOVING: Final = frozenset({"left", "declined", "kicked", "banned"})


@dataclass(slots=True)
class LiveMember:
    """A user who is here on at least one connection."""

    role: Role
    muted_until: float
    joined: bool
    """Not only here as an administrator, for as long as the room is public."""
    connections: int = 0


class LiveRoom:
    """Opened from the store's state; from then on every event moves it, in offset order and without gaps."""

    def __init__(self, state: RoomState, rate: Rate) -> None:
        self.id: RoomId = state.room
        self.epoch = state.epoch
        self.offset: int = state.offset
        """The newest offset that was delivered here."""
        self.heard: int = state.offset
        """The newest offset that was heard of: what a repair has to reach."""
        self.access = state.access
        self.archived = state.archived
        self.members: dict[Profile, set[Connection]] = {profile: set() for profile in Profile}
        self.users: dict[UserName, LiveMember] = {}
        self.recent: deque[Event] = deque(maxlen=_RECENT)
        self.repairing: asyncio.Task[None] | None = None
        self._usual = rate
        self._posts_per_second = state.posts_per_second
        self._slow_seconds = state.slow_seconds

    @property
    def rate(self) -> Rate:
        """How fast everybody together may post."""
        return own_rate(self._posts_per_second, self._usual)

    def slow(self, user: UserName) -> Rate | None:
        """How fast that user may, where slow mode is on for them."""
        return slow_rate(self._slow_seconds, self.users[user].role)

    def __len__(self) -> int:
        return sum(len(members) for members in self.members.values())

    def join(self, connection: Connection, entry: Entry) -> bool:
        """Deliver the room's next event to the connection, too. True when its user was not here before."""
        self.members[connection.profile].add(connection)
        connection.rooms.add(self.id)
        member = LiveMember(entry.role, entry.muted_until, entry.joined)
        user = self.users.setdefault(connection.identity.user, member)
        user.connections += 1
        return user.connections == 1

    def leave(self, connection: Connection) -> bool:
        """Deliver nothing of the room any more. True when its user has no other connection here."""
        self.members[connection.profile].discard(connection)
        connection.rooms.discard(self.id)
        user = self.users[connection.identity.user]
        user.connections -= 1
        if user.connections > 0:
            return False
        del self.users[connection.identity.user]
        return True

    def since(self, after: int) -> list[Event] | None:
        """What was delivered above `after`; None when that is further back than what is kept."""
        missing = self.offset - after
        if missing <= 0:
            return []
        if len(self.recent) < missing:
            return None
        return list(self.recent)[-missing:]

    def apply(self, events: Sequence[Event]) -> None:
        """Be what these events, the next ones, make of the room; whom they remove stays for `removed_by` to say."""
        self.offset = events[-1].offset
        for event in events:
            if event.kind is not EventKind.MESSAGE:
                self._apply(event)
            self.recent.append(event)

    def of(self, user: UserName) -> list[Connection]:
        """The user's connections in the room."""
        return [
            connection
            for members in self.members.values()
            for connection in members
            if connection.identity.user == user
        ]

    def removed_by(self, event: Event) -> list[UserName]:
        """Whom an event takes out of the room: administrators, too, once it is private and they have no role in it."""
        if not _removes(event):
            return []
        if event.kind is EventKind.MEMBER:
            return [UserName((event.facts or {})["user"])]
        return [user for user, member in self.users.items() if not member.joined]

    def _apply(self, event: Event) -> None:
        if event.kind in (EventKind.EDITED, EventKind.DELETED):
            # What is kept may hold the text as it was: the store has it as it is now.
            self.recent.clear()
            return
        self.access += 1
        facts = event.facts or {}
        if event.kind is EventKind.ROOM:
            self.archived = {"archived": True, "unarchived": False}.get(facts["change"], self.archived)
            self._posts_per_second = facts.get("posts_per_second", self._posts_per_second)
            self._slow_seconds = facts.get("slow_seconds", self._slow_seconds)
            return
        member = self.users.get(facts["user"])
        if member is not None:
            member.role = Role(facts.get("role", member.role))
            member.joined = member.joined or facts["change"] == "joined"
            if facts["change"] in ("muted", "unmuted"):
                muted = facts["change"] == "muted"
                member.muted_until = facts.get("until", float("inf")) if muted else 0.0


def own_rate(posts_per_second: float | None, usual: Rate) -> Rate:
    """The rate that a room's owner has set, the server's own where none is."""
    return Rate(posts_per_second, max(1.0, posts_per_second)) if posts_per_second else usual


def slow_rate(slow_seconds: float, role: Role) -> Rate | None:
    """One post in so many seconds, for members; owners and moderators post as they like."""
    return Rate(1.0 / slow_seconds, 1) if slow_seconds > 0 and role is Role.MEMBER else None


def in_runs(events: Iterable[Event]) -> list[list[Event]]:
    """The events in order, cut after each one that removes somebody: what follows is not for them."""
    runs: list[list[Event]] = [[]]
    for event in events:
        runs[-1].append(event)
        if _removes(event):
            runs.append([])
    return [run for run in runs if run]


def _removes(event: Event) -> bool:
    facts = event.facts or {}
    if event.kind is EventKind.MEMBER:
        return facts["change"] in _REMOVING
    return event.kind is EventKind.ROOM and facts.get("public") is False
