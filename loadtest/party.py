"""What the Locust users of one process share: who they are, where they come from, and what time it is."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence

from gevent.event import AsyncResult, Event

from loadtest.limits import DEFAULTS, Limits
from loadtest.scenario import Scenario
from loadtest.tally import Tally
from loadtest.target import Account, Target, addresses


class Party:
    """Everybody arrives, waits for the start, goes on until it is over, and leaves."""

    def __init__(self, target: Target, scenario: Scenario, accounts: Sequence[Account], first_address: int) -> None:
        self.target = target
        self.tally = Tally()
        self.tls = target.tls()
        self.begun, self.ended = Event(), Event()
        self.room: AsyncResult = AsyncResult()
        """The room that the party talks in, made by the first who needs one."""
        self.arrived = self.left = 0
        self.moved: Callable[[], None] = lambda: None
        """Called when somebody arrives or leaves."""
        self.shares = scenario.addresses
        """Addresses that all come from together; 0: each from one of its own."""
        self.limits: Limits = DEFAULTS
        """What the server promises."""
        self._accounts = accounts
        self._numbers = itertools.count()
        self._addresses = addresses(first_address) if target.local else itertools.repeat("")
        self._shared: list[str] = []

    def number(self) -> int:
        """Another one each time: 0, 1, 2 and so on."""
        return next(self._numbers)

    def account(self, number: int) -> Account:
        """Handed round where there are fewer accounts than users; nobody's where there are none."""
        return self._accounts[number % len(self._accounts)] if self._accounts else Account("", "")

    def fresh_address(self) -> str:
        """One that nobody has come from yet."""
        return next(self._addresses)

    def address(self, number: int) -> str:
        """One of the shared addresses where there are such, else a fresh one."""
        if not self.shares:
            return self.fresh_address()
        while len(self._shared) < self.shares:
            self._shared.append(self.fresh_address())
        return self._shared[number % len(self._shared)]

    def arrive(self) -> None:
        """One user is ready."""
        self.arrived += 1
        self.moved()

    def leave(self) -> None:
        """One user is done and holds nothing any more."""
        self.left += 1
        self.moved()

    def beats(self, every: float, jitter: float = 0.1) -> Iterator[None]:
        """Turns at a fixed offered rate until it is over, the first after a random part of one."""
        if self.ended.wait(random.uniform(0.0, every)):  # noqa: S311
            return
        while not self.ended.is_set():
            yield
            self.ended.wait(every * random.uniform(1.0 - jitter, 1.0 + jitter))  # noqa: S311
