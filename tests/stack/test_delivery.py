"""The delivery promise, checked on a whole stack under random faults: docs/delivery.md says what is promised.

`DELIVERY_SECONDS`, `DELIVERY_SEED` and `DELIVERY_REPORT` (a file for the verdict as JSON) change a run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from client.check_crowd import Crowd
from client.check_participant import Participant
from client.checker import report, run
from client.credentials import Token
from client.pace import Backoff
from client.record import History
from tests.patience import THOROUGH
from tests.stack.between import Between
from tests.stack.conftest import NewStack
from tests.stack.faults import PROGRAMS, Fault, Faults, schedule
from tests.stack.running import ROOT, RunningStack
from tests.stack.through import Through

SECONDS = float(os.environ.get("DELIVERY_SECONDS", "1800" if THOROUGH else "40"))
"""For which posts and faults go on; start, rooms, rest and verdict of the short run take half a minute more."""
SEED = int(os.environ.get("DELIVERY_SEED", "1"))
CLIENTS, ROOMS = (100, 10) if THOROUGH else (40, 5)
PER_ADDRESS = 5
RATE = 0.25
"""Posts of one client a second: with those of all others in its rooms it gets about ten times as many events."""
BACKOFF = 5.0
"""Seconds that a client waits at most before it connects again: the run is short, and the faults are many."""
REMOVALS = 0.5
"""A second, in all rooms."""
WIDER = {
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_PER_MINUTE": "6000",
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_BURST": "1000",
    "PORTCULLIS_CHANGES_PER_USER_PER_SECOND": "20",
    "PORTCULLIS_READS_PER_USER_PER_SECOND": "1000",
    "PORTCULLIS_READS_PER_USER_BURST": "1000",
    "PORTCULLIS_RETENTION_EVENTS": "100000",
}
"""Faults make clients come back more often than people do, and the judge reads all that was said at once."""

STORED = """
SELECT e."offset", e.sender, e.kind FROM events e JOIN rooms r ON r.id = e.room WHERE r.name = ? ORDER BY e."offset"
"""


@asynccontextmanager
async def a_crowd(stack: RunningStack, seed: int) -> AsyncIterator[tuple[Crowd, list[Between]]]:
    """Clients that each come over a way of their own, five from each address."""
    rng, inside, tls = random.Random(seed), Through(stack).inside, stack.tls  # noqa: S311
    # The longest that there is: an hour. Fresh ones would have to be minted beside programs that are being killed.
    inside.settings["access_token_seconds"] = "3600"
    async with AsyncExitStack() as after:
        participants, ways = [], []
        for number in range(CLIENTS):
            user = f"talker{number}"
            token = Token(await inside.token(user))
            way = await after.enter_async_context(Between(stack.https_port, f"127.0.0.{number // PER_ADDRESS + 2}"))
            own = random.Random(rng.random())  # noqa: S311
            participants.append(
                Participant(
                    user,
                    f"https://localhost:{way.port}",
                    token,
                    RATE,
                    own,
                    tls=tls,
                    host="127.0.0.1",
                    backoff=Backoff(longest=BACKOFF),
                )
            )
            ways.append(way)
        yield Crowd(participants, ROOMS, rng, REMOVALS), ways


def assert_file_says_the_same(database: Path, histories: dict[str, History]) -> None:
    """What was read over HTTP is what stands in the store's file."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as file:
        for room, history in histories.items():
            rows = file.execute(STORED, (room,))
            assert rows.fetchall() == [(event.offset, event.sender, event.kind) for event in history.events]


@pytest.mark.parametrize("seed", [SEED])
async def test_every_event_is_delivered_once_and_in_order_whatever_fails(another: NewStack, seed: int) -> None:
    """Acked = stored = delivered to each member entitled to it, while programs are killed, networks fail and members
    are removed and come back; and enough of all that happened."""
    plan = schedule(seed, SECONDS, CLIENTS)
    print(f"seed {seed}, {SECONDS:g} s", *plan, sep="\n")
    with another(WIDER) as stack:
        stack.up()
        async with a_crowd(stack, seed) as (crowd, ways):
            faults = Faults(stack, ways)
            verdict = await run(crowd, SECONDS, faults.run(plan))
            found = report(crowd, verdict, {"seed": seed, "seconds": SECONDS, "faults_made": dict(faults.happened)})
            said = json.dumps(found, indent=2)
            if "DELIVERY_REPORT" in os.environ:
                await asyncio.to_thread(Path(os.environ["DELIVERY_REPORT"]).write_text, said)
            print(said)
            assert verdict.kept, str(verdict)
            assert_file_says_the_same(stack.state / "data" / "chat.db", await crowd.histories())
    assert_enough(found, faults)


def test_the_command_checks_any_stack(stack: RunningStack, tmp_path: Path) -> None:
    """With accounts, a command for tokens and default limits it says green, exits with 0 and leaves a report."""
    for number in range(1, 4):
        stack.user(f"checker{number}")
    words = ["--url", stack.url, "--ca", str(stack.ca), "--token-command", f"make -s -C {ROOT} token NAME={{}}"]
    words += ["--clients", "3", "--rooms", "2", "--seconds", "5", "--report", str(tmp_path / "report.json")]
    done = subprocess.run(
        [sys.executable, "-m", "client.checker", *words],
        env=stack.environ(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "green" in done.stdout
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["kept"]
    assert found["counted"]["delivered"] > found["counted"]["acked"] > 0


def assert_enough(found: dict[str, object], faults: Faults) -> None:
    """A green verdict on little says little."""
    counted = found["counted"]
    assert isinstance(counted, dict)
    assert counted["acked"] > SECONDS * CLIENTS * RATE / 4
    assert counted["delivered"] > counted["acked"] * 5
    assert counted["resumed"] > CLIENTS
    assert int(str(found["removed"])) > SECONDS * REMOVALS / 4
    few = {fault for fault in Fault if faults.happened[fault] < (5 if THOROUGH and SECONDS >= 600 else 1)}
    assert not few, faults.happened
    assert sum(faults.happened[fault] for fault in PROGRAMS) >= SECONDS / 20


def test_the_same_seed_makes_the_same_schedule() -> None:
    """Every kind of fault is in it within the short run, and another seed makes another one."""
    plan = schedule(7, 60, 40)
    assert plan == schedule(7, 60, 40) != schedule(8, 60, 40)
    assert {planned.fault for planned in schedule(SEED, 40, 40)} == set(Fault)
