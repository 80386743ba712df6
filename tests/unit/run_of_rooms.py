"""A run that keeps the promise, step by step, as clients would have recorded it: material to spoil."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from client.record import Delivered, Ended, History, Joined, Post, Record, Saw, Stored, delivered, digest, stored

EPOCH = "e1"
OWNER = "owner"


@dataclass
class Place:
    """One client's standing in one room."""

    live: bool = False
    member: bool = False
    cursor: int | None = None


@dataclass
class Run:
    """Rooms of one owner, whose users all have one client each. Time is the number of steps."""

    users: tuple[str, ...]
    rooms: tuple[str, ...]
    records: dict[str, Record] = field(default_factory=dict)
    frames: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    connected: set[str] = field(default_factory=set)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.records = {user: Record(user) for user in (OWNER, *self.users)}
        self.places = {(user, room): Place() for user in self.records for room in self.rooms}
        for room in self.rooms:
            self.frames[room] = []
            self.places[OWNER, room].member = True
            self.write(room, OWNER, type="room", change="created")
        for user in self.records:
            self.connect(user)
        for room in self.rooms:
            self.join(OWNER, room)

    def histories(self) -> dict[str, History]:
        """What is stored now."""
        return {room: History(room, EPOCH, [stored(frame) for frame in self.frames[room]]) for room in self.rooms}

    def write(self, room: str, sender: str, **facts: Any) -> int:
        """Store an event, and deliver it to whoever is live."""
        self.now += 1
        offset = len(self.frames[room]) + 1
        frame = {"room": room, "offset": offset, "sender": sender, "timestamp": self.now, **facts}
        self.frames[room].append(frame)
        for user in self.records:
            if self.places[user, room].live:
                self.deliver(user, frame)
        return offset

    def deliver(self, user: str, frame: dict[str, Any]) -> None:
        self.places[user, frame["room"]].cursor = frame["offset"]
        event = delivered(frame, self.lives[user], self.now)
        self.records[user].saw.append(event)
        self.records[user].handed.append(event)

    def post(self, user: str, room: str, ack_lost: bool = False) -> None:
        """Stored if they are live there. Where the ack is lost, the client is cut, returns and asks again."""
        if user not in self.connected:
            return
        number = len(self.records[user].posts)
        said = {"type": "message", "message": f"{user} {number}"}
        post = Post(f"{user}-{number}", room, digest(said), self.now)
        self.records[user].posts.append(post)
        if not self.places[user, room].live:
            post.refusal = "not_joined"
            return
        post.offset = self.write(room, user, **said)
        if ack_lost:
            self.cut(user)
            self.connect(user)

    def kick(self, user: str, room: str) -> None:
        """Removed by the owner; the kick is the last event that the user gets."""
        place = self.places[user, room]
        if place.member:
            place.member = False
            self.write(room, OWNER, type="member", change="kicked", user=user)
            place.live, place.cursor = False, None if place.live else place.cursor

    def join(self, user: str, room: str) -> None:
        """A new membership, live where the user is connected; otherwise made by another device of theirs."""
        place = self.places[user, room]
        if not place.member:
            place.member = True
            self.write(room, user, type="member", change="joined", user=user, role="member")
        if user in self.connected and not place.live:
            self.enter(user, room)

    def enter(self, user: str, room: str) -> None:
        """`joined`, and the replay where there is one to ask for."""
        self.now += 1
        place, newest = self.places[user, room], len(self.frames[room])
        start = newest if place.cursor is None else place.cursor
        resumed = place.cursor is not None
        joined = Joined(self.now, self.lives[user], room, place.cursor, start, newest, EPOCH, resumed)
        self.records[user].saw.append(joined)
        place.live, place.cursor = True, start
        for frame in self.frames[room][start:]:
            self.deliver(user, frame)

    def cut(self, user: str) -> None:
        """The connection is lost."""
        if user in self.connected:
            self.connected.remove(user)
            self.records[user].saw.append(Ended(self.now, self.lives[user]))
            for room in self.rooms:
                self.places[user, room].live = False

    def connect(self, user: str) -> None:
        """Back, and in every room that it knows and that still lets it in."""
        if user in self.connected:
            return
        self.connected.add(user)
        self.lives[user] = self.lives.get(user, 0) + 1
        for room in self.rooms:
            place = self.places[user, room]
            if place.member:
                self.enter(user, room)
            else:
                place.cursor = None

    def rest(self) -> tuple[list[Record], dict[str, History]]:
        """Everyone comes back, and the run is over."""
        for user in self.records:
            self.connect(user)
        return list(self.records.values()), self.histories()


def deliveries(record: Record, room: str) -> list[int]:
    """Where in the record the room's deliveries stand."""
    return [index for index, saw in enumerate(record.saw) if isinstance(saw, Delivered) and saw.room == room]


def certain(record: Record) -> list[int]:
    """Deliveries of which another record would show that they are missing: not the last before a lost connection to a
    room that was never resumed there."""
    found = []
    for index, saw in enumerate(record.saw):
        if isinstance(saw, Delivered) and _goes_on(saw, record.saw[index + 1 :]):
            found.append(index)
    return found


def _goes_on(saw: Delivered, rest: list[Saw]) -> bool:
    for later in rest:
        if isinstance(later, Ended):
            return any(isinstance(one, Joined) and one.room == saw.room and one.after == saw.offset for one in rest)
        if later.room == saw.room:
            return True
    return True


__all__ = ["EPOCH", "OWNER", "Run", "Stored", "certain", "deliveries"]
