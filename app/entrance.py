"""Becoming a live member of a room: the membership, the place, and every event since the client was last here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from app import fields, protocol
from app.connection import Connection
from app.hub import Hub
from app.limiter import Limit
from app.live_room import LiveRoom
from app.metrics import Metrics
from app.model import Change, Entry, Event, RoomId
from app.notices import Notices
from app.presence import Entered, Presence
from app.protocol import Profile
from app.repair import Repair
from app.roles import Action, Role
from app.rooms import Rooms, judged
from app.store import Store, StoreDown
from app.verbs import Join
from app.verdict import CloseCode, Denied, ErrorCode

_RETRY_FULL: Final = 5.0
_PAGE: Final = 256
_AT_ONCE: Final = 16_384
"""Bytes written before the reader is waited for, but for an event that is longer: as much as the smallest outbox."""

Found = tuple[Entry, LiveRoom]


class Arrival(NamedTuple):
    """What decides whether others are told of it."""

    elsewhere: bool
    """The user is in the room by way of another process, as far as anybody was told."""
    resumes: bool


class Entrance:
    """One per process. Answers go through the connection; an outage is StoreDown, with nothing joined."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        rooms: Rooms,
        repair: Repair,
        presence: Presence,
        notices: Notices,
        metrics: Metrics,
        rooms_per_user: int,
    ) -> None:
        self._store = store
        self._hub = hub
        self._rooms = rooms
        self._repair = repair
        self._presence = presence
        self._notices = notices
        self._metrics = metrics
        self._rooms_per_user = rooms_per_user

    async def enter(self, connection: Connection, verb: Join) -> Denied | None:
        """Answer by `joined` and the events that the client asked for, from then on by every event; or say why not."""
        room_id = RoomId(verb.room)
        live = self._hub.rooms.get(room_id)
        entry = await self._admitted(connection, verb)
        if isinstance(entry, Denied):
            return entry
        entered = await self._presence.enter(room_id, connection.id)
        if entered is None:
            return Denied(ErrorCode.ROOM_FULL, _RETRY_FULL, Limit.MEMBERS_PER_ROOM)
        try:
            return await self._catch_up(connection, verb, entered, (entry, live) if live is not None else None)
        finally:
            if room_id not in connection.rooms:
                await self._presence.leave(room_id, connection.id)
                self._hub.drop_if_empty(room_id)

    async def _admitted(self, connection: Connection, verb: Join) -> Entry | Denied:
        """The user's entry once they may be here; a public room or an invitation makes them a member first.

        A resume makes nobody a member: who was removed while away would be back before anybody noticed.
        """
        room, user = RoomId(verb.room), connection.identity.user
        entry = await self._store.entry(room, user)
        if entry is not None and entry.role in (Role.GUEST, Role.INVITED):
            if verb.after is not None:
                return Denied(ErrorCode.REMOVED)
            change = Change(room, user, Action.JOIN, rooms_at_most=self._rooms_per_user)
            answer = await self._rooms.change(change)
            # UNCHANGED: another connection of theirs was quicker.
            if isinstance(answer, Denied) and answer.code is not ErrorCode.UNCHANGED:
                return answer
            entry = await self._store.entry(room, user)
        if entry is None:
            return Denied(ErrorCode.ROOM_UNKNOWN)
        return judged(entry, Action.HISTORY, time.time()) or entry

    async def _catch_up(
        self, connection: Connection, verb: Join, entered: Entered, found: Found | None
    ) -> Denied | None:
        """Replay until nothing is missing, then join in the same breath.

        An entry is as good as a later one where the room was live before the question: its events came here since.
        """
        agreed = await self._agreed(connection, RoomId(verb.room), found)
        if isinstance(agreed, Denied):
            return agreed
        cursor = self._greet(connection, verb, *agreed)
        arrival = Arrival(entered is Entered.ELSEWHERE, verb.after is not None)
        try:
            await self._follow(connection, *agreed, cursor, arrival)
        except StoreDown:
            # The client was told that it is in; that it is not, only another connection can tell it.
            connection.close(CloseCode.SLOW_CONSUMER)
        return None

    async def _agreed(self, connection: Connection, room_id: RoomId, found: Found | None = None) -> Found | Denied:
        """Who the user is and the live room, once the room agrees that nobody's membership has changed since: what was
        delivered up to then is theirs to read."""
        if found is not None and await self._agrees(*found):
            return found
        while True:
            entry = await self._store.entry(room_id, connection.identity.user)
            if entry is None:
                return Denied(ErrorCode.ROOM_UNKNOWN)
            denied = judged(entry, Action.HISTORY, time.time())
            if denied is not None:
                return denied
            room = self._hub.rooms.get(room_id)
            if room is None:
                self._hub.open(entry.state)
                continue
            if await self._agrees(entry, room):
                return entry, room

    async def _agrees(self, entry: Entry, room: LiveRoom) -> bool:
        await self._repair.room(room, entry.state.offset)
        return room.access == entry.state.access and self._hub.rooms.get(room.id) is room

    async def _follow(
        self, connection: Connection, entry: Entry, room: LiveRoom, cursor: int, arrival: Arrival
    ) -> None:
        """Page by page up to where the room is, each page behind the question who the user is now."""
        while not self._join(connection, room, entry, cursor, arrival):
            reached = await self._replay(connection, room, cursor)
            if reached is None:
                return
            found = await self._agreed(connection, room.id)
            if isinstance(found, Denied):
                # `joined` has answered the frame, so this carries no id.
                connection.send(protocol.error(Denied(ErrorCode.REMOVED), room=room.id))
                return
            (entry, room), cursor = found, reached

    def _greet(self, connection: Connection, verb: Join, entry: Entry, room: LiveRoom) -> int:
        """Send `joined`; returns the offset that the client has everything up to."""
        offset, recovered = room.offset, False
        if verb.after is not None and room.id not in connection.rooms:
            outcome = _recovery(verb.after, verb.epoch, entry, room)
            self._metrics.recoveries.labels(outcome).inc()
            if outcome == "recovered":
                offset, recovered = verb.after, True
        if connection.profile is Profile.CHAT_V1:
            joined = fields.joined(entry, offset, room.offset, recovered=recovered, now=time.time())
            connection.send(protocol.encode({**joined, "id": verb.id}))
        return offset

    async def _replay(self, connection: Connection, room: LiveRoom, cursor: int) -> int | None:
        """Write one page of what is above the cursor; the new cursor, or None when the connection has to go."""
        newest = room.offset
        page = await self._store.events(room.id, cursor, _PAGE)
        page = [event for event in page if event.offset <= newest]
        if not page or page[0].offset != cursor + 1:
            # Retention overtook a slow reader: what is missing is never passed over in silence.
            connection.close(CloseCode.SLOW_CONSUMER)
            return None
        for data in _portions(page, connection.profile):
            if not await connection.drained():
                return None
            connection.send(data)
        return page[-1].offset if await connection.drained() else None

    def _join(self, connection: Connection, room: LiveRoom, entry: Entry, cursor: int, arrival: Arrival) -> bool:
        """Be live, with what is still missing from memory; False when that goes further back or would not fit."""
        recent = room.since(cursor)
        data = b"" if recent is None else protocol.events(recent, connection.profile)
        if recent is None or (data and not connection.fits(data)):
            return False
        if room.id not in connection.rooms:
            if data:
                connection.send(data)
            if room.join(connection, entry):
                user = connection.identity.user
                self._notices.came(room.id, user, elsewhere=arrival.elsewhere, resumes=arrival.resumes)
        return True


def _portions(page: Sequence[Event], profile: Profile) -> Iterator[bytes]:
    """The page's frames, as many at a time as may be written at once."""
    frames: list[bytes] = []
    size = 0
    for event in page:
        frame = protocol.events([event], profile)
        if frames and size + len(frame) > _AT_ONCE:
            yield b"".join(frames)
            frames, size = [], 0
        frames.append(frame)
        size += len(frame)
    yield b"".join(frames)


def _recovery(after: int, epoch: str | None, entry: Entry, room: LiveRoom) -> str:
    if epoch != entry.state.epoch:
        return "other_epoch"
    if after > room.offset:
        return "unknown_offset"
    return "recovered" if after >= entry.state.floor else "too_old"


RECOVERIES: Final = ("recovered", "too_old", "other_epoch", "unknown_offset")
"""The label values of `recoveries_total{outcome}`."""
