"""The live connections of this process and the rooms they are in.

One event is encoded and framed once, then written to each recipient: no task, queue or encoding per recipient.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from app import protocol
from app.connection import Connection
from app.metrics import Metrics
from app.model import ConnectionId, Event, Identity, Offset, Revocation, RevocationKind, RoomId, RoomState, UserName
from app.protocol import Profile
from app.verdict import CLOSES, CloseCode

_BY_WORD = {word: code for code, (word, _) in CLOSES.items()}


class LiveRoom:
    """A room's members on this process, by what they speak, and the last offset that was delivered to them."""

    def __init__(self, state: RoomState) -> None:
        self.id = state.room
        self.epoch = state.epoch
        self.offset = state.offset
        self.members: dict[Profile, set[Connection]] = {profile: set() for profile in Profile}
        self.users: Counter[UserName] = Counter()

    def __len__(self) -> int:
        return sum(len(members) for members in self.members.values())


class Hub:
    """Everything here runs on the event loop and never awaits, so a join is atomic with delivery."""

    def __init__(self, metrics: Metrics) -> None:
        self.connections: dict[ConnectionId, Connection] = {}
        self.rooms: dict[RoomId, LiveRoom] = {}
        self._metrics = metrics

    def add(self, connection: Connection) -> None:
        """Start to know a connection."""
        self.connections[connection.id] = connection
        self._metrics.connections.set(len(self.connections))

    def remove(self, connection: Connection) -> None:
        """Forget a connection that left its rooms."""
        self.connections.pop(connection.id, None)
        self._metrics.connections.set(len(self.connections))

    def join(self, connection: Connection, room: LiveRoom) -> bool:
        """Deliver the room's next event to the connection, too. True when its user was not in the room before."""
        room.members[connection.profile].add(connection)
        connection.rooms.add(room.id)
        room.users[connection.identity.user] += 1
        return room.users[connection.identity.user] == 1

    def leave(self, connection: Connection, room: LiveRoom) -> bool:
        """Deliver nothing of the room any more. True when its user has no other connection in it."""
        room.members[connection.profile].discard(connection)
        connection.rooms.discard(room.id)
        user = connection.identity.user
        room.users[user] -= 1
        if room.users[user] > 0:
            return False
        del room.users[user]
        return True

    def deliver(self, events: Sequence[Event]) -> None:
        """Write stored events to the members of their rooms (`Broker.subscribe`)."""
        for room_id, group in groupby(events, key=lambda event: event.room):
            room = self.rooms.get(room_id)
            if room is not None:
                self._deliver(room, list(group))

    def _deliver(self, room: LiveRoom, events: list[Event]) -> None:
        room.offset = Offset(events[-1].offset)
        for profile, members in room.members.items():
            if members:
                data = protocol.messages(events, profile)
                reached = sum([connection.send(data) for connection in members])
                self._metrics.deliveries.inc(reached * len(events))
        now = time.time()
        for event in events:
            self._metrics.delivery_seconds.observe(max(0.0, now - event.timestamp))

    def notify(self, room_id: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        """Write join and leave notices to the members of a room (`Broker.subscribe`)."""
        room = self.rooms.get(room_id)
        if room is None:
            return
        for profile, members in room.members.items():
            if members:
                data = protocol.notices(room_id, joined, left, profile, time.time())
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
