"""What users do with rooms, on the socket or over HTTP. A refusal is a value; an outage is StoreDown."""

from __future__ import annotations

import asyncio
import re
import secrets
import string
import time
from collections.abc import Sequence
from typing import Any, Final

from app import fields, verbs
from app.batch import Batch, Write
from app.broker import Broker
from app.limiter import Charge, Limit, Limiter, Rate, Throttle
from app.metrics import Metrics
from app.model import Change, Entry, Member, Post, RoomId, Stored, UserName
from app.notices import Notices
from app.presence import Presence
from app.roles import Action, Role, judge
from app.settings import Settings
from app.store import Store
from app.verdict import Denied, ErrorCode

RETRY_STORE: Final = 1.0
"""Seconds after which a write that the store did not take may be sent again."""
_SLUG: Final = 24
_AUDIT_ROWS: Final = 50
_MEMBER_ROWS: Final = 1000
_DRAWS: Final = 3
_SUFFIX: Final = string.ascii_lowercase + string.digits

Asked = verbs.Changing | verbs.Asking | verbs.Post | verbs.Join | verbs.Create | verbs.Read | verbs.Typing
Answer = Stored | Denied | dict[str, Any] | None


class Rooms:
    """One per process."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        limiter: Limiter,
        presence: Presence,
        broker: Broker,
        batch: Batch,
        notices: Notices,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._store = store
        self._limiter = limiter
        self._presence = presence
        self._broker = broker
        self._batch = batch
        self._notices = notices
        self._metrics = metrics
        self._marks: dict[tuple[RoomId, UserName], int] = {}
        self._user_rate = Rate(settings.posts_per_user_per_second, settings.posts_per_user_burst)
        self._bytes_rate = Rate(settings.bytes_per_user_per_second, settings.bytes_per_user_burst)
        self._changes_rate = Rate(settings.changes_per_user_per_second, settings.changes_per_user_burst)
        self._reads_rate = Rate(settings.reads_per_user_per_second, settings.reads_per_user_burst)
        self.room_rate = Rate(settings.posts_per_room_per_second, settings.posts_per_room_burst)

    async def act(self, user: UserName, verb: Asked, size: int) -> Answer:
        """Carry out a verb of `size` bytes for a user: what was stored, the fields of a page, or why not."""
        throttle = await self._limiter.hit(self._charges(user, verb, size))
        if throttle is not None:
            return _throttled(throttle)
        match verb:
            case verbs.Rooms():
                return await self._list(user, public=verb.public)
            case verbs.Create():
                return await self._create(user, verb)
            case verbs.History() | verbs.Members() | verbs.Audit():
                return await self._page(user, verb)
            case verbs.Read() | verbs.Typing():
                return await self._show(user, verb)
            case verbs.Post():
                return await self._post(user, verb, size)
            case verbs.Configure() if (denied := self._out_of_bounds(verb)) is not None:
                return denied
        return await self.change(self._change(user, verb))

    async def change(self, change: Change) -> Stored | Denied:
        """Store a change and wait for it, or for its refusal; counted by its outcome."""
        answer = await self.write(change)
        self._count(change.action, answer)
        return answer

    async def write(self, write: Write) -> Stored | Denied:
        """Store a post or a change and wait for it, or for its refusal."""
        answered: asyncio.Future[Stored | Denied | None] = asyncio.get_running_loop().create_future()

        def answer(stored: Stored | Denied | None) -> None:
            if not answered.done():
                answered.set_result(stored)

        if not self._batch.put(write, answer):
            return Denied(ErrorCode.BUSY, RETRY_STORE)
        return await answered or Denied(ErrorCode.BUSY, RETRY_STORE)

    async def room(self, user: UserName, room: RoomId) -> dict[str, Any] | Denied:
        """The facts of one room as the user sees it."""
        throttle = await self._limiter.hit([Charge(Limit.READS_PER_USER, user, self._reads_rate)])
        if throttle is not None:
            return _throttled(throttle)
        listing = await self._store.listing(room, user)
        if listing is None:
            return Denied(ErrorCode.ROOM_UNKNOWN)
        denied = judged(listing.entry, Action.SEE, time.time())
        return denied or fields.listing(listing, time.time())

    def post_charges(self, user: UserName, room: RoomId, rate: Rate, slow: Rate | None, size: int) -> Sequence[Charge]:
        """What one post of `size` bytes costs; `slow` where the room's slow mode is for this user."""
        charges = (*self._own_charges(user, size), Charge(Limit.POSTS_PER_ROOM, room, rate))
        return charges if slow is None else (*charges, Charge(Limit.SLOW_MODE, f"{room} {user}", slow))

    def _own_charges(self, user: UserName, size: int) -> Sequence[Charge]:
        return (
            Charge(Limit.POSTS_PER_USER, user, self._user_rate),
            Charge(Limit.BYTES_PER_USER, user, self._bytes_rate, size),
        )

    def mark(self, user: UserName, verb: verbs.Read) -> None:
        """Remember how far a user has read; `store_marks` writes it down."""
        key = (RoomId(verb.room), user)
        self._marks[key] = max(verb.offset, self._marks.get(key, 0))

    async def store_marks(self) -> None:
        """Write down what was read since the last time, all at once. Raises StoreDown, forgetting nothing."""
        if self._marks:
            marks = dict(self._marks)
            await self._store.mark_read([(room, user, offset) for (room, user), offset in marks.items()])
            self._marks = {key: offset for key, offset in self._marks.items() if marks.get(key) != offset}

    def _charges(self, user: UserName, verb: Asked, size: int) -> list[Charge]:
        charges = [Charge(Limit.BYTES_PER_USER, user, self._bytes_rate, size)]
        match verb:
            case verbs.Edit():
                charges.append(Charge(Limit.POSTS_PER_USER, user, self._user_rate))
            case verbs.Post():  # charged with its room, once that is known
                return []
            case verbs.Rooms() | verbs.History() | verbs.Members() | verbs.Audit() | verbs.Read() | verbs.Typing():
                charges.append(Charge(Limit.READS_PER_USER, user, self._reads_rate))
            case _:
                charges.append(Charge(Limit.CHANGES_PER_USER, user, self._changes_rate))
        return charges

    async def _post(self, user: UserName, verb: verbs.Post, size: int) -> Stored | Denied:
        """A post from outside a live room: its sender's standing is asked here for the limits, and by the store."""
        answer = await self._posted(user, verb, size)
        self._metrics.messages.labels(_outcome(answer)).inc()
        return answer

    async def _posted(self, user: UserName, verb: verbs.Post, size: int) -> Stored | Denied:
        room, own = RoomId(verb.room), self._own_charges(user, size)
        throttle = await self._limiter.test(own)
        if throttle is not None:
            return _throttled(throttle)
        entry = await self._entry(user, room, Action.POST)
        if isinstance(entry, Denied):
            # It costs what a post costs, or asking would be free.
            await self._limiter.hit(own)
            return entry
        charges = self.post_charges(user, room, self._rate(entry), self._slow(entry), size)
        throttle = await self._limiter.hit(charges)
        if throttle is not None:
            return _throttled(throttle)
        return await self.write(Post(room, user, verb.message, verb.id, entry.state.access))

    async def _create(self, user: UserName, verb: verbs.Create) -> Stored | Denied:
        answer: Stored | Denied = Denied(ErrorCode.BUSY, RETRY_STORE)
        for _ in range(_DRAWS):
            room = room_id(verb.title)
            answer = await self._store.create_room(
                room, verb.title, verb.public, user, verb.id, self._settings.rooms_per_user
            )
            if not (isinstance(answer, Denied) and answer.code is ErrorCode.UNCHANGED):
                break
        self._count("create", answer)
        if isinstance(answer, Stored) and not answer.repeated:
            await self._broker.publish([answer.event])
        return answer

    async def _list(self, user: UserName, *, public: bool) -> dict[str, Any]:
        now = time.time()
        return {"rooms": [fields.listing(row, now) for row in await self._store.listings(user, public)]}

    async def _page(self, user: UserName, verb: verbs.History | verbs.Members | verbs.Audit) -> dict[str, Any] | Denied:
        room = RoomId(verb.room)
        entry = await self._entry(user, room, Action(verb.type))
        if isinstance(entry, Denied):
            return entry
        match verb:
            case verbs.History():
                return {"room": room, "epoch": entry.state.epoch, **await self._history(entry, verb)}
            case verbs.Members():
                return {"room": room, "members": await self._members(entry)}
        found = await self._store.audit(room, verb.before, _AUDIT_ROWS + 1)
        rows = [fields.audit(row) for row in found[:_AUDIT_ROWS]]
        return {"room": room, "entries": rows, "more": len(found) > _AUDIT_ROWS}

    async def _history(self, entry: Entry, verb: verbs.History) -> dict[str, Any]:
        room = entry.state.room
        if verb.after is not None:
            found = await self._store.events(room, max(verb.after, entry.state.floor), verb.limit + 1)
            events = found[: verb.limit]
        else:
            found = await self._store.events_before(room, verb.before, verb.limit + 1)
            events = found[-verb.limit :]
        return {"events": [fields.event(event) for event in events], "more": len(found) > verb.limit}

    async def _members(self, entry: Entry) -> list[dict[str, Any]]:
        online = await self._presence.online(entry.state.room)
        rows = await self._store.members(entry.state.room)
        if entry.state.everyone:
            listed = {row.user for row in rows}
            rows += [Member(user, Role.MEMBER) for user in sorted(set(online) - listed)]
        rows.sort(key=lambda row: row.user not in online)
        now = time.time()
        return [fields.member(row, online, now) for row in rows[:_MEMBER_ROWS]]

    async def _show(self, user: UserName, verb: verbs.Read | verbs.Typing) -> Denied | None:
        entry = await self._entry(user, RoomId(verb.room), Action(verb.type))
        if isinstance(entry, Denied):
            return entry
        if isinstance(verb, verbs.Read):
            self.mark(user, verb)
        else:
            self._notices.typing(entry.state.room, user)
        return None

    async def _entry(self, user: UserName, room: RoomId, action: Action) -> Entry | Denied:
        entry = await self._store.entry(room, user)
        if entry is None:
            return Denied(ErrorCode.ROOM_UNKNOWN)
        return judged(entry, action, time.time()) or entry

    def _rate(self, entry: Entry) -> Rate:
        own = entry.state.posts_per_second
        return Rate(own, max(1.0, own)) if own else self.room_rate

    def _slow(self, entry: Entry) -> Rate | None:
        slow = entry.role is Role.MEMBER and entry.state.slow_seconds > 0
        return Rate(1.0 / entry.state.slow_seconds, 1) if slow else None

    def _out_of_bounds(self, verb: verbs.Configure) -> Denied | None:
        most = max(self._settings.posts_per_room_max_per_second, self._settings.posts_per_room_per_second)
        if (verb.posts_per_second or 0.0) > most:
            return Denied(ErrorCode.INVALID, sentence=f"posts_per_second can be at most {most:g} here.")
        if (verb.slow_seconds or 0.0) > self._settings.slow_mode_max_seconds:
            longest = self._settings.slow_mode_max_seconds
            return Denied(ErrorCode.INVALID, sentence=f"slow_seconds can be at most {longest:g} here.")
        return None

    def _change(self, user: UserName, verb: verbs.Changing | verbs.Join) -> Change:
        given = verb.model_dump(exclude={"type", "room", "id", "after", "epoch"}, exclude_none=True)
        facts: dict[str, Any] = {name: given.pop(name) for name in _FACTS if name in given}
        if (seconds := given.pop("seconds", None)) is not None:
            given["until"] = time.time() + seconds
        if "role" in given:
            given["role"] = Role(given["role"])
        return Change(
            room=RoomId(verb.room),
            sender=user,
            action=Action(verb.type),
            client_id=verb.id,
            facts=facts or None,
            rooms_at_most=self._settings.rooms_per_user,
            **given,
        )

    def _count(self, action: str, answer: Stored | Denied) -> None:
        self._metrics.changes.labels(action, answer.code if isinstance(answer, Denied) else "stored").inc()


_FACTS: Final = ("title", "public", "posts_per_second", "slow_seconds")
CHANGES: Final = (
    "create",
    "join",
    *(verb.model_fields["type"].annotation.__args__[0] for verb in verbs.Changing.__args__),
)
"""The label values of `changes_total{action}`."""


def _throttled(throttle: Throttle) -> Denied:
    return Denied(ErrorCode.RATE_LIMITED, throttle.retry_after, throttle.limit)


def _outcome(answer: Stored | Denied) -> str:
    """Of a post, as `messages_total` counts it."""
    if isinstance(answer, Denied):
        return "throttled" if answer.code is ErrorCode.RATE_LIMITED else "refused"
    return "repeated" if answer.repeated else "accepted"


def room_id(title: str) -> RoomId:
    """A new id that shows what the room is about and that nobody can foresee."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower())[:_SLUG].strip("-") or "room"
    return RoomId(f"{slug}-{''.join(secrets.choice(_SUFFIX) for _ in range(6))}")


def judged(entry: Entry, action: Action, now: float) -> Denied | None:
    """Why a user who is in the room as the entry says may not do it, None when they may."""
    return judge(
        entry.role,
        action,
        now,
        archived=entry.state.archived,
        muted_until=entry.muted_until,
        banned_until=entry.banned_until,
    )
