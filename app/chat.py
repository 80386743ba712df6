"""What a client's frames do: the verbs of the protocol, each behind its limits."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Final, assert_never

from app import frames, protocol
from app.auth import Auth
from app.batch import Batch
from app.broker import Broker
from app.connection import Connection
from app.verdict import ErrorCode
from app.hub import Hub, LiveRoom
from app.limiter import Charge, Limit, Limiter, Rate, Throttle
from app.metrics import Metrics
from app.model import DEFAULT_ROOM, Post, Revocation, RevocationKind, RoomId, Stored
from app.notices import Notices
from app.presence import Presence
from app.protocol import Invalid, Malformed, Profile
from app.settings import Settings
from app.store import Store, StoreDown
from app.verdict import CloseCode, Reason

_security = logging.getLogger("portcullis.security")
_RETRY_STORE: Final = 1.0
_RETRY_FULL: Final = 5.0
_THROTTLED: Final = "Rate limit exceeded. Please wait before sending more messages."
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
        store: Store,
        limiter: Limiter,
        presence: Presence,
        broker: Broker,
        hub: Hub,
        batch: Batch,
        notices: Notices,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._auth = auth
        self._store = store
        self._limiter = limiter
        self._presence = presence
        self._broker = broker
        self._hub = hub
        self._batch = batch
        self._notices = notices
        self._metrics = metrics
        self._bytes_rate = Rate(settings.bytes_per_user_per_second, settings.bytes_per_user_burst)
        self._user_rate = Rate(settings.posts_per_user_per_second, settings.posts_per_user_burst)
        self._room_rate = Rate(settings.posts_per_room_per_second, settings.posts_per_room_burst)

    async def welcome(self, connection: Connection) -> None:
        """Right after the accept: the tutorial profile is in the default room without asking."""
        if connection.profile is Profile.TUTORIAL and not await self._enter(connection, DEFAULT_ROOM, None):
            connection.close(CloseCode.TRY_LATER)

    async def goodbye(self, connection: Connection, *, said_so: bool) -> None:
        """After the close: leave the rooms and give back the leases."""
        for room_id in list(connection.rooms):
            self._exit(connection, self._hub.rooms[room_id], said_so=said_so)
        self._hub.remove(connection)
        await self._presence.release(connection.id)

    async def handle(self, connection: Connection, text: str) -> None:
        """Carry out one text frame."""
        connection.received += 1
        wait = connection.frames.hit(time.monotonic())
        if wait > 0:
            return await self._throttle(connection, None, Throttle(Limit.FRAMES_PER_CONNECTION, wait))
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        verb = protocol.parse(text, connection.profile, self._settings.message_characters)
        if isinstance(verb, frames.Post):
            return await self._post(connection, verb, size)
        spent = Charge(Limit.BYTES_PER_USER, connection.identity.user, self._bytes_rate, size)
        throttle = await self._limiter.hit([spent])
        if throttle is not None:
            return await self._throttle(connection, verb.id, throttle)
        match verb:
            case Malformed():
                self._refuse(connection, verb)
            case frames.Join():
                await self._enter(connection, RoomId(verb.room), verb.id)
            case frames.Leave():
                await self._leave(connection, verb)
            case frames.Refresh():
                await self._refresh(connection, verb)
            case frames.Ping():
                connection.send(protocol.ack(verb.id))
            case _:
                assert_never(verb)
        return None

    def handle_binary(self, connection: Connection) -> None:
        """Answer a binary frame: nobody here speaks binary."""
        connection.received += 1
        self._refuse(connection, Malformed(Invalid.BINARY, "Binary frames are not understood here, send text"))

    async def meter(self, connection: Connection) -> None:
        """Count a ping, a pong or a fragment over the rate that a connection may send frames at."""
        await self._throttle(connection, None, Throttle(Limit.FRAMES_PER_CONNECTION, 1.0), answer=False)

    async def _post(self, connection: Connection, verb: frames.Post, size: int) -> None:
        received = time.perf_counter()
        room_id, user = RoomId(verb.room), connection.identity.user
        if room_id not in connection.rooms:
            self._metrics.messages.labels("refused").inc()
            return self._error(connection, ErrorCode.NOT_JOINED, "Join the room first.", verb.id)
        if connection.unacked >= self._settings.unacked_posts_per_connection:
            throttle: Throttle | None = Throttle(Limit.UNACKED_POSTS, _RETRY_STORE)
        else:
            throttle = await self._limiter.hit(
                (
                    Charge(Limit.POSTS_PER_USER, user, self._user_rate),
                    Charge(Limit.BYTES_PER_USER, user, self._bytes_rate, size),
                    Charge(Limit.POSTS_PER_ROOM, room_id, self._room_rate),
                )
            )
        if throttle is not None:
            self._metrics.messages.labels("throttled").inc()
            return await self._throttle(connection, verb.id, throttle)
        post = Post(room_id, user, verb.message, verb.id)
        connection.unacked += 1
        if not self._batch.put(post, partial(self._answer, connection, verb.id, received)):
            self._answer(connection, verb.id, received, None)
        return None

    def _answer(self, connection: Connection, client_id: str | None, received: float, stored: Stored | None) -> None:
        """The store's word on a post; an unknown outcome is never an ack."""
        connection.unacked -= 1
        if stored is None:
            self._metrics.messages.labels("refused").inc()
            sentence = "The message could not be stored now. Send it again with the same id."
            return self._error(connection, ErrorCode.BUSY, sentence, client_id, retry_after=_RETRY_STORE)
        self._metrics.messages.labels("repeated" if stored.repeated else "accepted").inc()
        self._metrics.ack_seconds.observe(time.perf_counter() - received)
        connection.posts += 1
        if client_id is not None or connection.profile is Profile.CHAT_V1:
            connection.send(protocol.ack(client_id, stored.event.room, stored.event.offset))
        return None

    async def _enter(self, connection: Connection, room_id: RoomId, client_id: str | None) -> bool:
        try:
            room = await self._live_room(room_id)
        except StoreDown:
            sentence = "The room cannot be read now. Join again."
            self._error(connection, ErrorCode.BUSY, sentence, client_id, retry_after=_RETRY_STORE)
            return False
        if room is None:
            self._error(connection, ErrorCode.ROOM_UNKNOWN, "There is no such room.", client_id)
            return False
        if not await self._presence.enter(room_id, connection.id):
            self._metrics.messages_throttled.labels(Limit.MEMBERS_PER_ROOM).inc()
            self._error(
                connection, ErrorCode.ROOM_FULL, "The room is full.", client_id, Limit.MEMBERS_PER_ROOM, _RETRY_FULL
            )
            return False
        if room_id not in connection.rooms and self._hub.join(connection, room):
            self._notices.came(room_id, connection.identity.user)
        if connection.profile is Profile.CHAT_V1:
            self._joined(connection, room, client_id)
        return True

    def _joined(self, connection: Connection, room: LiveRoom, client_id: str | None) -> None:
        connection.send(
            protocol.encode(
                {
                    "type": "joined",
                    "room": room.id,
                    "offset": room.offset,
                    "epoch": room.epoch,
                    "recovered": False,
                    "role": "member",
                    "id": client_id,
                }
            )
        )

    async def _live_room(self, room_id: RoomId) -> LiveRoom | None:
        room = self._hub.rooms.get(room_id)
        if room is None:
            state = await self._store.room(room_id)
            if state is not None:
                room = self._hub.rooms.setdefault(room_id, LiveRoom(state))
        return room

    async def _leave(self, connection: Connection, verb: frames.Leave) -> None:
        room_id = RoomId(verb.room)
        if room_id not in connection.rooms:
            return self._error(connection, ErrorCode.NOT_JOINED, "The room is not joined.", verb.id)
        self._exit(connection, self._hub.rooms[room_id], said_so=True)
        await self._presence.leave(room_id, connection.id)
        connection.send(protocol.ack(verb.id, room_id))
        return None

    def _exit(self, connection: Connection, room: LiveRoom, *, said_so: bool) -> None:
        if self._hub.leave(connection, room):
            self._notices.went(room.id, connection.identity.user, said_so=said_so)

    async def _refresh(self, connection: Connection, verb: frames.Refresh) -> None:
        try:
            answer = await self._auth.refresh(connection.identity, verb.token, connection.address.limited)
        except StoreDown:
            sentence = "The token cannot be checked now. Send it again."
            return self._error(connection, ErrorCode.BUSY, sentence, verb.id, retry_after=_RETRY_STORE)
        if isinstance(answer, Reason):
            sentence = "The token cannot replace this connection's credential."
            return self._error(connection, _REFRESH.get(answer, ErrorCode.TOKEN_REVOKED), sentence, verb.id)
        connection.identity = answer
        connection.noticed_expiry = False
        connection.send(protocol.ack(verb.id, expires_at=answer.expires_at))
        return None

    def _refuse(self, connection: Connection, malformed: Malformed) -> None:
        self._metrics.messages_invalid.labels(malformed.reason).inc()
        self._metrics.messages.labels("invalid").inc()
        if connection.malformed.hit(time.monotonic()) > 0:
            connection.close(CloseCode.MALFORMED)
        else:
            self._error(connection, malformed.code, malformed.error, malformed.id)

    async def _throttle(
        self, connection: Connection, client_id: str | None, throttle: Throttle, *, answer: bool = True
    ) -> None:
        """Say which limit and for how long; who goes on regardless is closed everywhere and cools down."""
        if connection.close_code is not None:
            return
        connection.throttled += 1
        self._metrics.messages_throttled.labels(throttle.limit).inc()
        if answer:
            self._error(connection, ErrorCode.RATE_LIMITED, _THROTTLED, client_id, throttle.limit, throttle.retry_after)
        user = connection.identity.user
        seconds = await self._limiter.strike(user)
        if seconds > 0:
            _security.warning("user_cooled_down", extra={"user": user, "seconds": seconds})
            await self._broker.revoke(Revocation(RevocationKind.USER, user, "flood"))

    def _error(
        self,
        connection: Connection,
        code: ErrorCode,
        sentence: str,
        client_id: str | None,
        limit: Limit | None = None,
        retry_after: float | None = None,
    ) -> None:
        connection.send(protocol.error(code, sentence, client_id, limit, retry_after))
