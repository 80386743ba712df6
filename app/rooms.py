"""What users do with rooms, on the socket or over HTTP. A refusal is a value; an outage is StoreDown."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import string
import time
from dataclasses import replace
from typing import Any, Final

from app import fields, request_id, verbs
from app.batch import Batch, Write
from app.broker import Broker
from app.charges import Charged, Charges
from app.limiter import Limiter, Throttle
from app.live_room import own_rate, slow_rate
from app.marks import Marks
from app.metrics import Metrics
from app.model import Change, Entry, Member, Post, RoomId, Stored, UserName
from app.notices import Notices
from app.outcome import Outcome, outcome
from app.presence import Presence
from app.roles import Action, Role, judge
from app.settings import Settings
from app.store import Store, StoreDown
from app.verdict import Denied, ErrorCode

_log = logging.getLogger("portcullis.rooms")
RETRY_STORE: Final = 1.0
"""Seconds after which a write that the store did not take may be sent again."""
_SLUG: Final = 24
_AUDIT_ROWS: Final = 50
_MEMBER_ROWS: Final = 1000
_DRAWS: Final = 3
_SUFFIX: Final = string.ascii_lowercase + string.digits

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
        charges: Charges,
        marks: Marks,
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
        self._charges = charges
        self._marks = marks

    async def act(self, user: UserName, verb: Charged, size: int) -> Answer:
        """Carry out a verb of `size` bytes for a user: what was stored, the fields of a page, or why not."""
        throttle = await self._limiter.hit(self._charges.verb(user, verb, size))
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
        answer = await self.write(replace(change, request_id=request_id.current()))
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
        throttle = await self._limiter.hit(self._charges.verb(user, verbs.Members(type="members", room=room), 0))
        if throttle is not None:
            return _throttled(throttle)
        await self._marks.settle(user)
        listing = await self._store.listing(room, user)
        if listing is None:
            return Denied(ErrorCode.ROOM_UNKNOWN)
        denied = judged(listing.entry, Action.SEE, time.time())
        return denied or fields.listing(listing, time.time())

    async def _post(self, user: UserName, verb: verbs.Post, size: int) -> Stored | Denied:
        """A post from outside a live room: its sender's standing is asked here for the limits, and by the store."""
        try:
            answer = await self._posted(user, verb, size)
        except StoreDown:
            self._metrics.messages.labels(Outcome.BUSY).inc()
            raise
        self._metrics.messages.labels(outcome(answer)).inc()
        _tell("post", answer)
        return answer

    async def _posted(self, user: UserName, verb: verbs.Post, size: int) -> Stored | Denied:
        room, own = RoomId(verb.room), self._charges.own_post(user, size)
        throttle = await self._limiter.test(own)
        if throttle is not None:
            return _throttled(throttle)
        entry = await self._entry(user, room, Action.POST)
        if isinstance(entry, Denied):
            # It costs what a post costs, or asking would be free.
            await self._limiter.hit(own)
            return entry
        rate, slow = (
            own_rate(entry.state.posts_per_second, self._charges.room),
            slow_rate(entry.state.slow_seconds, entry.role),
        )
        charges = self._charges.post(user, room, rate, slow, size)
        throttle = await self._limiter.hit(charges)
        if throttle is not None:
            return _throttled(throttle)
        self._notices.posted(room, user)
        return await self.write(Post(room, user, verb.message, verb.id, entry.state.access))

    async def _create(self, user: UserName, verb: verbs.Create) -> Stored | Denied:
        answer: Stored | Denied = Denied(ErrorCode.BUSY, RETRY_STORE)
        for _ in range(_DRAWS):
            room = room_id(verb.title)
            answer = await self._store.create_room(
                room, verb.title, verb.public, user, verb.id, self._settings.rooms_per_user, request_id.current()
            )
            if not (isinstance(answer, Denied) and answer.code is ErrorCode.UNCHANGED):
                break
        self._count("create", answer)
        if isinstance(answer, Stored) and not answer.repeated:
            await self._broker.publish([answer.event])
        return answer

    async def _list(self, user: UserName, *, public: bool) -> dict[str, Any]:
        await self._marks.settle(user)
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
            self._marks.put(entry.state.room, user, verb.offset)
        else:
            self._notices.typing(entry.state.room, user)
        return None

    async def _entry(self, user: UserName, room: RoomId, action: Action) -> Entry | Denied:
        entry = await self._store.entry(room, user)
        if entry is None:
            return Denied(ErrorCode.ROOM_UNKNOWN)
        return judged(entry, action, time.time()) or entry

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
        _tell(action, answer)


_FACTS: Final = ("title", "public", "posts_per_second", "slow_seconds")
CHANGES: Final = (
    "create",
    "join",
    *(verb.model_fields["type"].annotation.__args__[0] for verb in verbs.Changing.__args__),
)
"""The label values of `changes_total{action}`."""


def _tell(action: str, answer: Stored | Denied) -> None:
    """From a request to the event that it made, in the log. A live connection's posts are too many for a line each."""
    if isinstance(answer, Stored) and not answer.repeated:
        event = answer.event
        facts = {"action": action, "user": event.sender, "room": event.room, "offset": event.offset}
        _log.info("event_stored", extra=facts)


def _throttled(throttle: Throttle) -> Denied:
    return Denied(ErrorCode.RATE_LIMITED, throttle.retry_after, throttle.limit)


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
