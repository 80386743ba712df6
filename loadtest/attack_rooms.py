"""Attackers by what they do to rooms: they do not read, come all at once, come and go, or are very many."""

from __future__ import annotations

import random
import time
from typing import Final

import gevent
from locust.exception import StopUser

from loadtest.line import PATIENCE, Line
from loadtest.people import TALK_EVERY, ChatUser

WIDE: Final = "|" + "\N{CROCODILE}" * 460
"""Four bytes a character: as much as one message can carry."""
AWAY: Final = 40.0
"""Seconds after which nobody tries any longer to come back."""
READERS: Final = 4
"""Every so many-th is a reader that stalls; the others keep the room busy."""


class SlowReader(ChatUser):
    """In a room where much is said: some read nothing of it until it is over, and are gone by then."""

    every = 1.1

    def arrive(self) -> None:
        self.stalls = self.number % READERS == READERS - 1
        self.line = self.enter(narrow=self.stalls)
        self.place = self.room(self.line)

    def act(self) -> None:
        if self.stalls:
            self.stall()
            return
        for _ in range(4):
            self.line.post(self.place, None, WIDE)
        for _ in self.party.beats(self.every):
            self.line.post(self.place, None, WIDE)

    def stall(self) -> None:
        """Read nothing; afterwards see whether the server has closed."""
        self.counting.fact("stalled readers")
        self.line.stall()
        self.party.ended.wait()
        self.line.read_on()
        if self.line.over.wait(PATIENCE):
            self.counting.fact("stalled readers closed by the server")


class Resumer(ChatUser):
    """Remembers where it is in its room, to go on from there on another connection."""

    abstract = True

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)
        joined = self.line.ask("join", room=self.place)
        self.after, self.epoch = joined.get("offset", 0), joined.get("epoch", "")

    def resume(self, line: Line, lost: float) -> None:
        """Go on here; the connection before was lost at the monotonic time `lost`."""
        self.line = line
        joined = line.ask("join", room=self.place, after=self.after, epoch=self.epoch)
        if joined.get("recovered"):
            self.counting.fact("connections resumed")
            self.counting.took("comeback", time.monotonic() - lost)


class Herd(Resumer):
    """Everybody loses the connection at the same moment, and comes back at an even rate, to resume where they were."""

    every = 5.0
    back = 0.6
    """Seconds until the last one tries: an offered rate, and not as fast as this machine happens to be."""

    def act(self) -> None:
        while not self.party.ended.is_set():
            self.counting.fact("connections lost")
            lost = time.monotonic()
            self.line.cut()
            gevent.sleep(self.back * self.number / self.party.arrived)
            self.resume(self.enter(), lost)
            self.party.ended.wait(self.every - (time.monotonic() - lost))


class Returner(Resumer):
    """Talks, and when the server ends the connection comes back as every client should: paused, and to resume."""

    def act(self) -> None:
        while not self.party.ended.is_set():
            if self.line.over.wait(random.uniform(0.5, 1.5) * TALK_EVERY):  # noqa: S311
                self.come_back()
            else:
                self.line.post(self.place)

    def come_back(self) -> None:
        """Whatever refuses meanwhile: the server that goes, or the edge that has nobody to ask."""
        self.counting.fact("connections lost")
        lost = time.monotonic()
        while time.monotonic() - lost < AWAY:
            gevent.sleep(random.uniform(0.2, 1.0))  # noqa: S311
            line = self.knock()
            if isinstance(line, Line):
                self.resume(line, lost)
                return
        self.counting.trouble(f"not back within {AWAY:g} s")
        raise StopUser


class RoomFiller(ChatUser):
    """One of many who all want to be in the same room."""

    every = 0.5

    def arrive(self) -> None:
        self.line = self.enter()
        if self.number == 0:
            self.party.room.set(self.line.ask("create", title="Full", public=True).get("room", ""))
        self.place: str = self.party.room.get()

    def act(self) -> None:
        window = self.party.tally.window(self.place)
        for _ in self.party.beats(self.every):
            if self.line.ask("join", window, room=self.place).get("type") == "joined":
                self.hold(window)
                self.party.ended.wait()


class RoomHoarder(ChatUser):
    """Makes rooms, which one is in from then on."""

    every = 0.4

    def arrive(self) -> None:
        self.line = self.enter()

    def act(self) -> None:
        window = self.party.tally.window(self.account.name)
        for number, _ in enumerate(self.party.beats(self.every)):
            answer = self.line.ask("create", title=f"Hoard {number}")
            made = answer.get("type") == "ack"
            if made or answer.get("limit") == "rooms_per_user":
                now = time.monotonic()
                window.note(now, now, accepted=made)
                if made:
                    self.hold(window)


class Churner(ChatUser):
    """Joins and leaves a room for as long as it may."""

    every = 0.6

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)

    def act(self) -> None:
        for _ in self.party.beats(self.every):
            self.counting.fact("left")
            self.line.ask("leave", room=self.place)
            if self.line.ask("join", room=self.place).get("type") == "joined":
                self.counting.fact("joined again")


class Crowd(ChatUser):
    """One talks, everybody else in a very large room listens."""

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)

    def act(self) -> None:
        if self.number == 0:
            for _ in self.party.beats(1.0):
                self.line.post(self.place)
                self.counting.fact("messages due", self.party.arrived)
        self.party.ended.wait()
        gevent.sleep(1.0)
        self.counting.fact("messages received", self.line.received)
