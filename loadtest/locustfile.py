"""The same users for Locust itself, with its page or headless, alone or as master and workers.

`locust -f loadtest/locustfile.py --class-picker`, or with names of classes: `… HonestUser PostFlooder`. There is no
verdict here: whoever wants one runs `python -m loadtest`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from locust import events
from locust.runners import MasterRunner

from loadtest import accounts, local
from loadtest.attack_doors import (
    AddressHoarder,
    BadTokenSender,
    Dribbler,
    HandshakeFlooder,
    LocalHandshakeFlooder,
    NameStuffer,
    NodeFiller,
    Stuffer,
    UserHoarder,
)
from loadtest.attack_rooms import Churner, Crowd, Herd, Returner, RoomFiller, RoomHoarder, SlowReader
from loadtest.attack_talk import (
    BadFramer,
    ByteFlooder,
    ChangeFlooder,
    FrameFlooder,
    PostFlooder,
    ReadFlooder,
    RoomFlooder,
    RuthlessFlooder,
    Sizer,
)
from loadtest.party import Party
from loadtest.people import ChatUser, HonestUser
from loadtest.scenarios import ALL
from loadtest.target import Account, Target, block

__all__ = [
    "AddressHoarder",
    "BadFramer",
    "BadTokenSender",
    "ByteFlooder",
    "ChangeFlooder",
    "Churner",
    "Crowd",
    "Dribbler",
    "FrameFlooder",
    "HandshakeFlooder",
    "Herd",
    "HonestUser",
    "LocalHandshakeFlooder",
    "NameStuffer",
    "NodeFiller",
    "PostFlooder",
    "ReadFlooder",
    "Returner",
    "RoomFiller",
    "RoomFlooder",
    "RoomHoarder",
    "RuthlessFlooder",
    "Sizer",
    "SlowReader",
    "Stuffer",
    "UserHoarder",
]
SCENARIOS = {one.attack: one for one in ALL}
"""By the attackers' class; honest users belong to the one without attackers."""
_parties: list[Party] = []


@events.init_command_line_parser.add_listener
def words(parser: Any, **_: Any) -> None:
    """Where accounts come from, and whom to trust."""
    parser.add_argument("--ca", env_var="LOADTEST_CA", default="", help="file with the authority of the host")
    parser.add_argument("--accounts-file", env_var="LOADTEST_ACCOUNTS", default="", help="accounts made on the host")
    parser.add_argument("--honest-accounts", type=int, default=100, help="accounts of honest users, by process")


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    """A new party for each class that is chosen, with accounts that nobody has used; the master needs none."""
    if isinstance(environment.runner, MasterRunner):
        return
    classes = [cls for cls in environment.user_classes if issubclass(cls, ChatUser)]
    options = environment.parsed_options
    counts = {cls: _accounts_of(cls, options.honest_accounts) for cls in classes}
    target, given = _reached(environment, options, sum(counts.values()))
    for cls in classes:
        mine, given = given[: counts[cls]], given[counts[cls] :]
        cls.party = Party(target, _scenario(cls), mine, block())
        cls.party.begun.set()
        _parties.append(cls.party)


@events.test_stopping.add_listener
def end(**_: Any) -> None:
    """Everybody closes in order; Locust's --stop-timeout is how long it lets them."""
    while _parties:
        _parties.pop().ended.set()


def _scenario(cls: type[ChatUser]) -> Any:
    return SCENARIOS["" if cls is HonestUser else cls.__name__]


def _accounts_of(cls: type[ChatUser], honest: int) -> int:
    return honest if cls is HonestUser else int(_scenario(cls).accounts)


def _reached(environment: Any, options: Any, count: int) -> tuple[Target, list[Account]]:
    """The host of Locust's own field or option; without one the stack of this clone."""
    if options.accounts_file:
        given = accounts.read(Path(options.accounts_file))
        return Target(environment.host, options.ca), _share(given, environment.runner, count)
    stack = local.stack()
    if environment.host and environment.host != stack.place.origin:
        logging.getLogger("locust").warning(
            "Accounts are made in %s; another host does not know them.", stack.place.url
        )
    ca = options.ca or str(local.authority(stack))
    return Target(environment.host or stack.place.origin, ca), accounts.make(stack, count)


def _share(given: list[Account], runner: Any, count: int) -> list[Account]:
    """This worker's part of the file."""
    first = max(0, getattr(runner, "worker_index", 0)) * count
    if len(given) < first + count:
        raise ValueError(f"{first + count} accounts are needed, and the file has {len(given)}: make more.")
    return given[first : first + count]
