"""Attackers with a connection: floods of posts, bytes and nonsense."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from typing import Final

from loadtest.attack_sizes import BIG
from loadtest.line import PATIENCE
from loadtest.people import ChatUser
from loadtest.tally import Window

BAD_FRAMES: Final[tuple[tuple[str, str | bytes], ...]] = (
    ("not_json", "{"),
    ("not_object", "[]"),
    ("unknown_type", '{"type":"dance"}'),
    ("unknown_field", '{"type":"ping","x":1}'),
    ("missing_field", "{}"),
    ("wrong_type", '{"type":"ping","id":1}'),
    ("duplicate_key", '{"type":"ping","type":"ping"}'),
    ("too_deep", "[" * 5000),
    ("binary", b"x"),
)
"""By the reason that the server counts each under."""


MOST_BAD_FRAMES: Final = 60
TOO_BIG: Final = 1009


class PostFlooder(ChatUser):
    """One of several connections of one user, each of which posts; together they post twice what the user may."""

    every = 2.0

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)

    def act(self) -> None:
        window = self.party.tally.window(self.account.name)
        for number in range(2):
            self.line.post(self.place, window, f"|{number}")
        for _ in self.party.beats(self.every):
            self.line.post(self.place, window)


class RoomFlooder(ChatUser):
    """One of many users in one room; none of them posts more than a user may, together they do."""

    every = 1.05

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)

    def act(self) -> None:
        window = self.party.tally.window(self.place)
        for _ in self.party.beats(self.every):
            self.line.post(self.place, window)


class RuthlessFlooder(ChatUser):
    """Posts ten times what a user may, whatever the server says; comes back when it is thrown out."""

    every = 0.12

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)

    def act(self) -> None:
        for _ in self.party.beats(self.every):
            if not self.line.over.is_set():
                self.line.post(self.place)
            elif self.party.ended.wait(2.5) or self.knock(self.party.fresh_address()) is None:
                return


class ByteFlooder(ChatUser):
    """Few frames, but big ones."""

    every = 0.45

    def arrive(self) -> None:
        self.line = self.enter()

    def act(self) -> None:
        window = self.party.tally.window(self.account.name)
        for number, _ in enumerate(self.party.beats(self.every)):
            client_id = f"ping-{number}"
            text = json.dumps({"type": "ping", "id": client_id})
            self.line.send_text(text.ljust(BIG), client_id, "ping", window)


class FrameFlooder(ChatUser):
    """More frames on a connection than one may send, of the cheapest kind."""

    every = 0.09

    def arrive(self) -> None:
        self.line = self.enter()

    def act(self) -> None:
        window = self.party.tally.window(self.account.name)
        for _ in range(20):
            self.line.say("ping", window)
        for _ in self.party.beats(self.every, 0.02):
            self.line.say("ping", window)


class ReadFlooder(ChatUser):
    """One of several connections of one user that ask for lists: all at once, and then a little more than they may."""

    hurry = 0.11
    every = 0.45

    def arrive(self) -> None:
        self.line = self.enter()

    def act(self) -> None:
        window = self.party.tally.window(self.account.name)
        for _ in range(18):
            self.line.say("rooms", window)
        while not window.refused and not self.party.ended.wait(self.hurry):
            self.line.say("rooms", window)
        for _ in self.party.beats(self.every):
            self.line.say("rooms", window)


class ChangeFlooder(ChatUser):
    """Renames a room of its own, again and again."""

    hurry = 0.11
    every = 0.36

    def arrive(self) -> None:
        self.line = self.enter()

    def act(self) -> None:
        window = self.party.tally.window(self.account.name)
        room = self.line.say("create", window, title="Flood", public=False).get().get("room", "")
        for number in itertools.count():
            if self.party.ended.wait(self.every if window.refused else self.hurry):
                return
            self.line.say("rename", window, room=room, title=f"Flood {number}")


class Sizer(ChatUser):
    """The largest message and frame that there may be, and one of each that is larger by one."""

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)

    def act(self) -> None:
        characters, size = (int(self.party.limits[name]) for name in ("message_characters", "frame_bytes"))
        self.tried(self.line.ask("post", room=self.place, message="a" * characters).get("type") == "ack")
        self.line.bad.append(("too_long", time.monotonic(), Window()))
        answer = self.line.ask("post", room=self.place, message="a" * (characters + 1))
        self.tried(answer.get("code") == "too_long")
        ping = json.dumps({"type": "ping", "id": "size"})
        self.tried(bool(self.line.send_text(ping.ljust(size), "size", "ping").wait(PATIENCE)))
        self.line.send_raw(ping.ljust(size + 1))
        self.tried(self.line.over.wait(PATIENCE) and self.line.code == TOO_BIG)

    def tried(self, kept: bool) -> None:
        """One size."""
        self.counting.fact("sizes tried")
        self.counting.fact("sizes kept", int(kept))


class BadFramer(ChatUser):
    """Frames that mean nothing, of every kind, until the connection is closed; then another one."""

    every = 0.3

    def act(self) -> None:
        kinds = itertools.cycle(BAD_FRAMES)
        for number in itertools.count():
            if self.party.ended.wait(0.2):
                return
            self.spoil(self.party.tally.window(f"{self.account.name} {number}"), kinds)

    def spoil(self, window: Window, kinds: Iterator[tuple[str, str | bytes]]) -> None:
        """One connection's worth: not left half done, or the limit would not be reached, and not kept for ever."""
        line = self.enter()
        for reason, text in itertools.islice(kinds, MOST_BAD_FRAMES):
            if line.over.is_set():
                return
            line.send_bad(reason, text, window)
            line.over.wait(self.every)
