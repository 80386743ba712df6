"""What a client's frames do: the verbs of the protocol, each behind its limits."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final, assert_never

from app import protocol, verbs
from app.auth import Auth
from app.batch import Batch
from app.charges import Charged, Charges
from app.connection import Connection
from app.entrance import Entrance
from app.floods import Floods
from app.hub import Hub
from app.limiter import Limit, Limiter, Throttle
from app.live_room import LiveRoom
from app.marks import Marks
from app.metrics import Metrics
from app.model import DEFAULT_ROOM, Post, RoomId, Stored
from app.notices import Notices
from app.outcome import Outcome, outcome
from app.presence import Presence
from app.protocol import Invalid, Malformed, Profile
from app.roles import Action, judge
from app.rooms import Rooms
from app.settings import Settings
from app.store import StoreDown
from app.verdict import CloseCode, Denied, ErrorCode, Reason

_RETRY_STORE: Final = 1.0
_NOT_STORED: Final = Denied(
    ErrorCode.BUSY, _RETRY_STORE, sentence="The message could not be stored now. Send it again with the same id."
)
_INTO_DEFAULT: Final = verbs.Join(type="join", room=DEFAULT_ROOM)
_REFRESH: Final = {
    Reason.TOKEN_INVALID: ErrorCode.TOKEN_INVALID,
    Reason.TOKEN_EXPIRED: ErrorCode.TOKEN_EXPIRED,
    Reason.TOKEN_REUSED: ErrorCode.TOKEN_REUSED,
    Reason.BACKEND_DOWN: ErrorCode.BUSY,
}
"""Whatever else speaks against a fresh token (its account, the address) reads as revoked."""


class Chat:
    """One per process. Every method answers through the connection; none raises for what a client sent."""

    def __init__(
        self,
        settings: Settings,
        auth: Auth,
        limiter: Limiter,
        presence: Presence,
        floods: Floods,
        hub: Hub,
        batch: Batch,
        notices: Notices,
        rooms: Rooms,
        charges: Charges,
        marks: Marks,
        entrance: Entrance,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._auth = auth
        self._limiter = limiter
        self._presence = presence
        self._floods = floods
        self._hub = hub
        self._batch = batch
        self._notices = notices
        self._rooms = rooms
        self._charges = charges
        self._marks = marks
        self.entrance = entrance
        self._metrics = metrics
        self._leaving: set[asyncio.Task[None]] = set()

    async def welcome(self, connection: Connection) -> None:
        """Right after the accept: the tutorial profile is in the default room without asking."""
        if connection.profile is Profile.TUTORIAL and not await self._enter(connection, _INTO_DEFAULT):
            connection.close(CloseCode.TRY_LATER)

    async def goodbye(self, connection: Connection, *, said_so: bool) -> None:
        """After the close: leave the rooms and give back the leases."""
        left = [room for room in list(connection.rooms) if self._hub.leave(connection, self._hub.rooms[room])]
        self._hub.remove(connection)
        await self._presence.release(connection.id)
        user = connection.identity.user
        away = {room: self._notices.went(room, user, said_so=said_so) for room in left}
        await asyncio.gather(*(self._presence.away(room, user, seconds) for room, seconds in away.items() if seconds))

    async def handle(self, connection: Connection, text: str) -> None:
        """Carry out one text frame."""
        connection.received += 1
        wait = connection.frames.hit(time.monotonic())
        if wait > 0:
            return await self._throttle(connection, None, Throttle(Limit.FRAMES_PER_CONNECTION, wait))
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        verb = protocol.parse(text, connection.profile, self._settings.message_characters)
        match verb:
            case verbs.Post():
                await self._post(connection, verb, size)
            case Malformed() | verbs.Refresh() | verbs.Ping():
                await self._own(connection, verb, size)
            case verbs.Join():
                if not await self._spent(connection, verb, size):
                    await self._enter(connection, verb)
            case verbs.Leave():
                await self._leave(connection, verb, size)
            case verbs.Typing() | verbs.Read():
                await self._show(connection, verb, size)
            case _:
                await self._act(connection, verb, size)
        return None

    async def _own(self, connection: Connection, verb: Malformed | verbs.Refresh | verbs.Ping, size: int) -> None:
        """What concerns the connection and no room costs its bytes."""
        throttle = await self._limiter.hit([self._charges.frame(connection.identity.user, size)])
        if throttle is not None:
            return await self._throttle(connection, verb.id, throttle)
        match verb:
            case Malformed():
                self._refuse(connection, verb)
            case verbs.Refresh():
                await self._refresh(connection, verb)
            case verbs.Ping():
                connection.send(protocol.ack(verb.id))
            case _:
                assert_never(verb)
        return None

    async def _act(self, connection: Connection, verb: Charged, size: int) -> None:
        """Have a room's verb carried out and answer with its ack, its page, or the reason why not."""
        try:
            answer = await self._rooms.act(connection.identity.user, verb, size)
        except StoreDown:
            answer = Denied(ErrorCode.BUSY, _RETRY_STORE)
        match answer:
            case Denied(code=ErrorCode.RATE_LIMITED):
                throttle = Throttle(Limit(answer.limit or ""), answer.retry_after or 0.0)
                await self._throttle(connection, verb.id, throttle)
            case Denied():
                self._deny(connection, answer, verb.id, getattr(verb, "room", None))
            case Stored():
                connection.send(protocol.ack(verb.id, answer.event.room, answer.event.offset))
            case dict():
                connection.send(protocol.encode({"type": verb.type, "id": verb.id, **answer}))

    async def _show(self, connection: Connection, verb: verbs.Typing | verbs.Read, size: int) -> None:
        """Typing and reading concern live members only, and are not answered unless an id asks for it."""
        if await self._spent(connection, verb, size):
            return
        room = self._open_to(connection, verb.room, Action(verb.type))
        if isinstance(room, Denied):
            self._deny(connection, room, verb.id, verb.room)
            return
        if isinstance(verb, verbs.Read):
            self._marks.put(room.id, connection.identity.user, verb.offset)
        else:
            self._notices.typing(RoomId(verb.room), connection.identity.user)
        if verb.id is not None:
            connection.send(protocol.ack(verb.id, verb.room))

    async def _spent(self, connection: Connection, verb: Charged, size: int) -> bool:
        """Whether the verb was one too many; it is answered then."""
        throttle = await self._limiter.hit(self._charges.verb(connection.identity.user, verb, size))
        if throttle is not None:
            await self._throttle(connection, verb.id, throttle)
        return throttle is not None

    def _live(self, connection: Connection, room: str) -> LiveRoom | Denied:
        room_id = RoomId(room)
        return self._hub.rooms[room_id] if room_id in connection.rooms else Denied(ErrorCode.NOT_JOINED)

    def _open_to(self, connection: Connection, name: str, action: Action) -> LiveRoom | Denied:
        """The room, where the connection is live in it and its user may do that."""
        room = self._live(connection, name)
        if isinstance(room, Denied):
            return room
        member = room.users[connection.identity.user]
        denied = judge(member.role, action, time.time(), archived=room.archived, muted_until=member.muted_until)
        return denied or room

    def handle_binary(self, connection: Connection) -> None:
        """Answer a binary frame: nobody here speaks binary."""
        connection.received += 1
        self._refuse(connection, Malformed(Invalid.BINARY, "Binary frames are not understood here, send text"))

    async def meter(self, connection: Connection) -> None:
        """Count a ping, a pong or a fragment over the rate that a connection may send frames at."""
        await self._throttle(connection, None, Throttle(Limit.FRAMES_PER_CONNECTION, 1.0), answer=False)

    async def _post(self, connection: Connection, verb: verbs.Post, size: int) -> None:
        received = time.perf_counter()
        room = self._open_to(connection, verb.room, Action.POST)
        if isinstance(room, Denied):
            return self._answer(connection, verb.id, received, room)
        # What the store will trust the answer above by; a change behind it makes the store ask anew.
        user, access = connection.identity.user, room.access
        slow = room.slow(user)
        if connection.unacked >= self._settings.unacked_posts_per_connection:
            throttle: Throttle | None = Throttle(Limit.UNACKED_POSTS, _RETRY_STORE)
        else:
            throttle = await self._limiter.hit(self._charges.post(user, room.id, room.rate, slow, size))
        if throttle is not None:
            self._metrics.messages.labels(Outcome.THROTTLED).inc()
            return await self._throttle(connection, verb.id, throttle)
        connection.unacked += 1
        self._notices.posted(room.id, user)
        post = Post(room.id, user, verb.message, verb.id, access)
        if not self._batch.put(post, partial(self._acknowledge, connection, verb.id, received)):
            self._acknowledge(connection, verb.id, received, None)
        return None

    def _acknowledge(
        self, connection: Connection, client_id: str | None, received: float, stored: Stored | Denied | None
    ) -> None:
        connection.unacked -= 1
        self._answer(connection, client_id, received, stored)

    def _answer(
        self, connection: Connection, client_id: str | None, received: float, stored: Stored | Denied | None
    ) -> None:
        """The store's word on a post; an unknown outcome is never an ack."""
        self._metrics.messages.labels(outcome(stored)).inc()
        if not isinstance(stored, Stored):
            connection.send(protocol.error(stored or _NOT_STORED, client_id))
            return
        self._metrics.ack_seconds.observe(time.perf_counter() - received)
        connection.posts += 1
        if client_id is not None or connection.profile is Profile.CHAT_V1:
            connection.send(protocol.ack(client_id, stored.event.room, stored.event.offset))

    async def _enter(self, connection: Connection, verb: verbs.Join) -> bool:
        try:
            denied = await self.entrance.enter(connection, verb)
        except StoreDown:
            denied = Denied(ErrorCode.BUSY, _RETRY_STORE, sentence="The room cannot be read now. Join again.")
        if denied is not None:
            self._deny(connection, denied, verb.id, verb.room)
        return denied is None

    def _deny(self, connection: Connection, denied: Denied, client_id: str | None, room: str | None) -> None:
        """A refusal that is no flood, though a limit may have been reached."""
        if denied.limit is not None:
            self._metrics.messages_throttled.labels(denied.limit).inc()
        connection.send(protocol.error(denied, client_id, room))

    async def _leave(self, connection: Connection, verb: verbs.Leave, size: int) -> None:
        """Give up the membership; where there is none to give up, only this connection leaves."""
        room = self._live(connection, verb.room)
        if verb.room != DEFAULT_ROOM and (isinstance(room, Denied) or room.users[connection.identity.user].joined):
            return await self._act(connection, verb, size)
        if await self._spent(connection, verb, size):
            return None
        room = self._live(connection, verb.room)
        if isinstance(room, Denied):
            return self._deny(connection, room, verb.id, verb.room)
        last = self._hub.leave(connection, room)
        await self._presence.leave(room.id, connection.id)
        if last:
            self._notices.went(room.id, connection.identity.user, said_so=True)
        connection.send(protocol.ack(verb.id, room.id))
        return None

    def removed(self, connection: Connection, room: LiveRoom) -> None:
        """An event took the connection out of the room: give its place back (`Hub.removed`)."""
        leaving = asyncio.get_running_loop().create_task(self._part(connection, room))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _part(self, connection: Connection, room: LiveRoom) -> None:
        last = connection.identity.user not in room.users
        await self._presence.leave(room.id, connection.id)
        if last:
            self._notices.went(room.id, connection.identity.user, said_so=True)

    async def _refresh(self, connection: Connection, verb: verbs.Refresh) -> None:
        try:
            answer = await self._auth.refresh(connection.identity, verb.token, connection.address.limited)
        except StoreDown:
            answer = Reason.BACKEND_DOWN
        if isinstance(answer, Reason):
            code = _REFRESH.get(answer, ErrorCode.TOKEN_REVOKED)
            wait = _RETRY_STORE if code is ErrorCode.BUSY else None
            connection.send(protocol.error(Denied(code, wait), verb.id))
            return
        connection.identity = answer
        connection.noticed_expiry = False
        connection.send(protocol.ack(verb.id, expires_at=answer.expires_at))

    def _refuse(self, connection: Connection, malformed: Malformed) -> None:
        self._metrics.messages_invalid.labels(malformed.reason).inc()
        self._metrics.messages.labels(Outcome.INVALID).inc()
        if connection.malformed.hit(time.monotonic()) > 0:
            connection.close(CloseCode.MALFORMED)
        else:
            connection.send(protocol.error(Denied(malformed.code, sentence=malformed.error), malformed.id))

    async def _throttle(
        self, connection: Connection, client_id: str | None, throttle: Throttle, *, answer: bool = True
    ) -> None:
        """Say which limit and for how long; who goes on regardless is closed everywhere and cools down."""
        if connection.close_code is not None:
            return
        connection.throttled += 1
        if answer:
            denied = Denied(ErrorCode.RATE_LIMITED, throttle.retry_after, throttle.limit)
            connection.send(protocol.error(denied, client_id))
        await self._floods.throttled(connection.identity.user, throttle.limit)
