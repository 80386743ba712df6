"""A process of Locust users that the director leads over its standard streams: `python -m loadtest.crew`.

Honest users and attackers are crews of their own: clients that share an interpreter would slow each other down, and
that is not what is measured. The first line in says what to be (tokens are on no command line), each further line is
a word; each line out is what happened.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import time
from typing import Any

import gevent
import locust
from locust.env import Environment

from loadtest import attack_doors, attack_rooms, attack_talk, people
from loadtest.party import Party
from loadtest.people import ChatUser
from loadtest.scenarios import BY_NAME
from loadtest.target import Account, Target

SPAWN_PER_SECOND = 50
TURN = 0.02
MODULES = (people, attack_doors, attack_rooms, attack_talk)


def user_class(name: str) -> type[ChatUser]:
    """The users' class of this name."""
    return next(cls for module in MODULES if isinstance(cls := getattr(module, name, None), type))


class Crew:
    """One scenario's honest users, or its attackers."""

    def __init__(self, spec: dict[str, Any]) -> None:
        accounts = [Account(name, token) for name, token in spec["accounts"]]
        self.count: int = spec["count"]
        self.party = Party(Target(**spec["target"]), BY_NAME[spec["scenario"]], accounts, spec["first_address"])
        self.party.shares = spec["shares"]
        self.party.limits = spec["limits"]
        self.party.moved = self._moved
        self.users = user_class(spec["users"])
        self.users.party = self.party
        self._ready = False
        self._environment = Environment(user_classes=[self.users], host=spec["target"]["url"])

    def run(self) -> None:
        """Until everybody has left."""
        runner = self._environment.create_local_runner()
        runner.start(self.count, spawn_rate=SPAWN_PER_SECOND)
        gevent.spawn(self._feel)
        while word := read():
            if word == "begin":
                self.party.begun.set()
            elif word == "end":
                self.party.ended.set()
            elif word == "report":
                say(said="report", tally=self.party.tally.dump())
        runner.quit()

    def _feel(self) -> None:
        """How late this process gets its turns: what its users wait for and the server cannot help."""
        while True:
            due = time.monotonic() + TURN
            gevent.sleep(TURN)
            now = time.monotonic()
            self.party.tally.delay("turn", now, max(0.0, now - due))

    def _moved(self) -> None:
        if not self._ready and self.party.arrived + self.party.left >= self.count:
            self._ready = True
            say(said="ready", arrived=self.party.arrived)
        if self.party.left >= self.count:
            say(said="done")


def read() -> str:
    """The director's next word; empty when the director is gone."""
    line: str = gevent.get_hub().threadpool.apply(sys.stdin.readline)
    return line.strip()


def say(**fields: Any) -> None:
    """One line to the director."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def settle(core: int | None) -> None:
    """Stay on one core where one is given, and be allowed every file that may be opened."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Be a crew."""
    logging.getLogger("locust").setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    spec = json.loads(read())
    settle(spec["core"])
    Crew(spec).run()
    return 0


if __name__ == "__main__":
    assert locust.__version__  # noqa: S101 - imported first, since it replaces the sockets of all that comes after
    sys.exit(main())
