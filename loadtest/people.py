"""Locust user classes: who all of them are, and the honest ones."""

from __future__ import annotations

from typing import Any

import gevent
from locust import User, task
from locust.exception import StopUser

from loadtest.counting import Counting
from loadtest.line import Line, Refusal, dial
from loadtest.party import Party
from loadtest.tally import Window

TALK_EVERY = 2.0
"""Seconds between two posts of an honest user: half of what everybody may."""


class ChatUser(User):
    """One of a party. It arrives once it is ready, and leaves once it holds nothing any more."""

    abstract = True
    party: Party

    def on_start(self) -> None:
        self.number = self.party.number()
        self.account = self.party.account(self.number)
        self.address = self.party.address(self.number)
        self.counting = Counting(self.environment, self.party.tally)
        self.lines: list[Line] = []
        try:
            self.arrive()
        except StopUser:
            if self.number == 0:
                self.party.room.set("")  # nobody else may wait for the room that is not coming
            self.party.leave()
            raise
        self.party.arrive()

    def arrive(self) -> None:
        """Whatever has to be there before the party begins."""

    @task
    def live(self) -> None:
        """Wait for the start, act until it is over, and go."""
        self.party.begun.wait()
        try:
            self.act()
        except StopUser:
            pass
        except Exception as error:
            # Locust would begin the task anew; the run is spoilt either way.
            self.counting.trouble(f"a bug of {type(self).__name__}: {error!r}")
        finally:
            gevent.joinall([gevent.spawn(line.leave) for line in self.lines if not line.over.is_set()])
            self.party.leave()
        raise StopUser

    def act(self) -> None:
        """What this user is for, until `party.ended`."""
        raise NotImplementedError

    def on_stop(self) -> None:
        """Where Locust itself ends the run nothing may stay open."""
        for line in self.lines:
            if not line.over.is_set():
                line.opened.close()

    def knock(self, address: str = "", **options: Any) -> Line | Refusal | None:
        """One handshake with the account's token from this user's address, unless others are given."""
        token = options.pop("token", self.account.token)
        line = dial(self.party, self.counting, address or self.address, token, **options)
        if isinstance(line, Line):
            self.lines = [one for one in self.lines if not one.over.is_set()] + [line]
        return line

    def enter(self, **options: Any) -> Line:
        """A connection that nobody may refuse; the user stops where somebody does, which is trouble."""
        line = self.knock(**options)
        if not isinstance(line, Line):
            self.counting.trouble(f"not let in: {line.reason if line else 'no answer'}")
            raise StopUser
        return line

    def hold(self, window: Window) -> None:
        """Keep what was got, at the same time as everything before. Once it is over others give theirs back."""
        if not self.party.ended.is_set():
            window.hold(+1)

    def room(self, line: Line) -> str:
        """The party's own room, which its first user makes; joined."""
        if self.number == 0:
            self.party.room.set(line.ask("create", title="Load", public=True).get("room", ""))
        room: str = self.party.room.get()
        line.ask("join", room=room)
        return room


class HonestUser(ChatUser):
    """Talks in a room with the others, slower than anybody may, and expects to be heard."""

    weight = 3

    def arrive(self) -> None:
        self.line = self.enter()
        self.place = self.room(self.line)

    def act(self) -> None:
        for _ in self.party.beats(TALK_EVERY):
            self.line.post(self.place)
