"""`python -m client.checker`: any number of clients talk through a stack, and the delivery promise is checked.

docs/delivery.md says what is promised, and how accounts and tokens for a run are made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shlex
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from client.check_crowd import Crowd
from client.check_fault import Counterexample, Verdict
from client.check_participant import Participant
from client.credentials import Token

PATIENCE: Final = 90.0
"""Seconds for everyone to come to rest: longer than two of the client's longest pauses between connections."""
_PROGRESS: Final = 5.0
_AROUND: Final = 10.0


def main(words: Sequence[str] | None = None) -> int:
    """Run and judge; 0 when the promise was kept, 1 with the first counterexample when it was not."""
    asked = _parser().parse_args(words)
    verdict, found = asyncio.run(check(asked))
    _say(str(verdict))
    if asked.report:
        asked.report.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if verdict.kept else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m client.checker", description="Check the delivery promise.")
    parser.add_argument("--url", required=True, help="https://host:port of the stack")
    parser.add_argument("--ca", type=Path, help="the authority that signed its certificate")
    parser.add_argument("--token-command", required=True, help="prints an access token of the account {}")
    parser.add_argument("--user", default="checker{}", help="the accounts' names by number, from 1 (%(default)s)")
    parser.add_argument("--clients", type=int, default=10, help="one of each account (%(default)s)")
    parser.add_argument("--rooms", type=int, default=3, help="made anew, with three for each client (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for which they talk (%(default)s)")
    parser.add_argument("--rate", type=float, default=0.5, help="posts a second of one client (%(default)s)")
    parser.add_argument("--removals", type=float, default=0.2, help="members kicked a second (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of who says what where (%(default)s)")
    parser.add_argument("--report", type=Path, help="where to write the verdict as JSON")
    return parser


async def check(asked: argparse.Namespace) -> tuple[Verdict, dict[str, Any]]:
    """The verdict on a run against any stack, and its report."""
    rng = random.Random(asked.seed)  # noqa: S311
    tls = ssl.create_default_context(cafile=asked.ca) if asked.ca else None
    participants = []
    for number in range(1, asked.clients + 1):
        user = asked.user.format(number)
        credential = Token(_asker(asked.token_command.format(user)))
        own = random.Random(rng.random())  # noqa: S311
        participants.append(Participant(user, asked.url, credential, asked.rate, own, tls=tls))
    crowd = Crowd(participants, asked.rooms, rng, asked.removals)
    verdict = await run(crowd, asked.seconds)
    return verdict, report(crowd, verdict, {"seed": asked.seed, "seconds": asked.seconds})


async def run(crowd: Crowd, seconds: float, meanwhile: Any = None) -> Verdict:
    """Talk, come to rest and be judged, with a line of progress now and then."""
    async with crowd.open():
        _say(f"{len(crowd.participants)} clients are in {len(crowd.rooms)} rooms")
        progress = asyncio.create_task(_progress(crowd))
        try:
            await crowd.talk(seconds, meanwhile)
            await crowd.rest(PATIENCE)
        finally:
            progress.cancel()
        return await crowd.verdict()


def report(crowd: Crowd, verdict: Verdict, about: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of a run, as JSON can carry it."""
    return {
        **about,
        "kept": verdict.kept,
        "first": asdict(verdict.first) if verdict.first else None,
        "around": around(crowd, verdict.first) if verdict.first else [],
        "faults": verdict.faults,
        "counted": dict(sorted(verdict.counted.items())),
        "clients": len(crowd.participants),
        "rooms": list(crowd.rooms),
        "removed": crowd.removed,
        "disconnected": sum(one.disconnected for one in crowd.participants),
    }


def around(crowd: Crowd, first: Counterexample) -> list[str]:
    """What its client saw of the room shortly before and after, and what its caller got."""
    found: list[tuple[float, str]] = []
    for record in (one.record for one in crowd.participants if one.user == first.user):
        found += [(saw.at, f"came {saw}") for saw in record.saw if saw.room in (first.room, None)]
        found += [(event.at, f"got {event}") for event in record.handed if event.room == first.room]
    return [line for at, line in sorted(found) if abs(at - first.at) < _AROUND]


async def _progress(crowd: Crowd) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        await asyncio.sleep(_PROGRESS)
        posts = [post for one in crowd.participants for post in one.record.posts]
        acked, handed = (
            sum(post.offset is not None for post in posts),
            sum(len(one.record.handed) for one in crowd.participants),
        )
        away = sum(not one.present for one in crowd.participants)
        _say(f"{clock() - began:6.0f} s: {acked} of {len(posts)} acked, {handed} delivered, {away} clients away")


def _asker(command: str) -> Callable[[], Any]:
    """Asks for a fresh token, off the event loop."""

    def ask() -> str:
        return subprocess.run(shlex.split(command), stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603

    async def asked() -> str:
        return await asyncio.to_thread(ask)

    return asked


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
