"""The live connections of this process and the rooms they are in.

One event is encoded and framed once, then written to each recipient: no task, queue or encoding per recipient.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from app import protocol
from app.connection import Connection
from app.limiter import Rate
from app.live_room import LiveRoom, in_runs
from app.metrics import Metrics
from app.model import ConnectionId, Event, EventKind, Identity, Revocation, RevocationKind, RoomId, RoomState, UserName
from app.protocol import Profile
from app.verdict import CLOSES, CloseCode, Denied, ErrorCode

_BY_WORD = {word: code for code, (word, _) in CLOSES.items()}


class Hub:
    """Everything here runs on the event loop and never awaits, so a join is atomic with delivery."""

    removed: Callable[[Connection, LiveRoom], None]
    """Told of each connection that an event took out of a room."""
    lost: Callable[[LiveRoom], object]
    """Told of a room that events are missing for; they have to be delivered again, from the store."""

    def __init__(self, metrics: Metrics, room_rate: Rate) -> None:
        self.connections: dict[ConnectionId, Connection] = {}
        self.users: dict[UserName, set[Connection]] = {}
        self.rooms: dict[RoomId, LiveRoom] = {}
        self._metrics = metrics
        self._room_rate = room_rate

    def add(self, connection: Connection) -> None:
        """Start to know a connection."""
        self.connections[connection.id] = connection
        self.users.setdefault(connection.identity.user, set()).add(connection)
        self._metrics.connections.set(len(self.connections))

    def remove(self, connection: Connection) -> None:
        """Forget a connection that left its rooms."""
        if self.connections.pop(connection.id, None) is None:
            return
        of_user = self.users[connection.identity.user]
        of_user.discard(connection)
        if not of_user:
            del self.users[connection.identity.user]
        self._metrics.connections.set(len(self.connections))

    def open(self, state: RoomState) -> LiveRoom:
        """Start to deliver a room's events. Those since the state was read may be missed: ask the store once more."""
        room = self.rooms[state.room] = LiveRoom(state, self._room_rate)
        return room

    def leave(self, connection: Connection, room: LiveRoom) -> bool:
        """Deliver nothing of the room any more. True when its user has no other connection in it."""
        last = room.leave(connection)
        self.drop_if_empty(room.id)
        return last

    def drop_if_empty(self, room_id: RoomId) -> None:
        """Forget a room that nobody is in; who comes next opens it again."""
        room = self.rooms.get(room_id)
        if room is not None and not room.users:
            del self.rooms[room_id]

    def deliver(self, events: Sequence[Event]) -> None:
        """Write stored events to the members of their rooms (`Broker.subscribe`); those that were delivered are not."""
        by_room: dict[RoomId, list[Event]] = {}
        for event in events:
            by_room.setdefault(event.room, []).append(event)
        for room_id, group in by_room.items():
            room = self.rooms.get(room_id)
            if room is not None:
                self._deliver(room, group)
        for event in events:
            if event.kind is not EventKind.MESSAGE:
                self._tell_user(event)

    def _deliver(self, room: LiveRoom, events: list[Event]) -> None:
        if events[0].offset <= room.offset:
            events = [event for event in events if event.offset > room.offset]
            if not events:
                return
        if events[0].offset != room.offset + 1 or events[-1].offset != room.offset + len(events):
            room.heard = max(room.heard, events[-1].offset)
            self.lost(room)
            return
        for run in in_runs(events):
            self._write(room, run)
            room.apply(run)
            for user in room.removed_by(run[-1]):
                self._remove(room, user, told=run[-1].kind is EventKind.MEMBER)

    def _write(self, room: LiveRoom, events: list[Event]) -> None:
        for profile, members in room.members.items():
            if members and (data := protocol.events(events, profile)):
                reached = sum([connection.send(data) for connection in members])
                self._metrics.deliveries.inc(reached * len(events))
        now = time.time()
        for event in events:
            self._metrics.delivery_seconds.observe(max(0.0, now - event.timestamp))

    def _remove(self, room: LiveRoom, user: UserName, *, told: bool) -> None:
        """`told` when the event itself says that it concerns that user."""
        for connection in room.of(user):
            self.leave(connection, room)
            if not told:
                connection.send(protocol.error(Denied(ErrorCode.REMOVED), room=room.id))
            self.removed(connection, room)

    def _tell_user(self, event: Event) -> None:
        """All connections of a user learn that their list of rooms changed, in the room or not."""
        facts = event.facts or {}
        if event.kind is EventKind.MEMBER:
            user = UserName(facts["user"])
        elif facts.get("change") == "created":
            user = event.sender
        else:
            return
        fields = {"type": "membership", "room": event.room, "change": facts["change"], "sender": event.sender}
        for connection in self.users.get(user, ()):
            if connection.profile is Profile.CHAT_V1:
                connection.send_ephemeral(protocol.encode(fields))

    def notify(self, room_id: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """Write join and leave notices to the members of a room (`Broker.subscribe`)."""
        self._ephemeral(room_id, lambda profile: protocol.notices(room_id, joined, left, profile, time.time()))

    def typing(self, room_id: RoomId, users: Sequence[UserName]) -> None:
        """Write who is typing to the members of a room (`Broker.subscribe`)."""
        data = protocol.typing(room_id, users)
        self._ephemeral(room_id, lambda profile: data if profile is Profile.CHAT_V1 else b"")

    def _ephemeral(self, room_id: RoomId, encode: Callable[[Profile], bytes]) -> None:
        room = self.rooms.get(room_id)
        if room is None:
            return
        for profile, members in room.members.items():
            if members and (data := encode(profile)):
                for connection in members:
                    connection.send_ephemeral(data)

    def revoke(self, revocation: Revocation) -> None:
        """Close the connections that live by what was revoked (`Broker.subscribe`)."""
        matches = _MATCHES[revocation.kind]
        code = _BY_WORD[revocation.reason]
        for connection in self.connections.values():
            if matches(connection, revocation.value):
                connection.close(code)

    def expire(self, now: float, notice_seconds: float) -> None:
        """Close what outlived its credential at `now` (Unix seconds); announce what will within `notice_seconds`."""
        for connection in self.connections.values():
            left = connection.identity.expires_at - now
            if left <= 0:
                connection.close(CloseCode.CREDENTIAL_EXPIRED)
            elif left <= notice_seconds and not connection.noticed_expiry:
                connection.noticed_expiry = True
                if connection.profile is Profile.CHAT_V1:
                    expiring = {"type": "expiring", "expires_at": connection.identity.expires_at}
                    connection.send(protocol.encode(expiring))

    def sessions(self) -> set[str]:
        """The sessions that have a live connection here."""
        return {session for session in map(_session, self._identities()) if session is not None}

    def waiting(self) -> int:
        """Bytes in all outboxes."""
        return sum(connection.waiting for connection in self.connections.values())

    def _identities(self) -> Iterable[Identity]:
        return (connection.identity for connection in self.connections.values())


def _session(identity: Identity) -> str | None:
    return identity.session


_MATCHES: dict[RevocationKind, Callable[[Connection, str], bool]] = {
    RevocationKind.TOKEN: lambda connection, value: connection.identity.token_id == value,
    RevocationKind.SESSION: lambda connection, value: connection.identity.session == value,
    RevocationKind.USER: lambda connection, value: connection.identity.user == value,
    RevocationKind.ADDRESS: lambda connection, value: connection.address.limited == value,
}
