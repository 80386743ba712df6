"""A new app, edge configuration and certificate while clients are connected, and the way back."""

from __future__ import annotations

import asyncio
import ssl
from statistics import quantiles
from typing import Any

import pytest

from client.check_crowd import Crowd
from client.checker import report, run
from client.record import Ended, Joined, Record
from stack import compose, engine
from tests.containers.contained import ContainedStack
from tests.containers.crowds.crowd import WIDER, a_crowd, accounts
from tests.patience import THOROUGH, until
from tests.stack.through import Through

CLIENTS, ROOMS = (200, 10) if THOROUGH else (40, 5)
TALK = 10.0
MOST_AWAY = 3.0
DRAIN = float(WIDER["PORTCULLIS_DRAIN_SECONDS"])


def away(record: Record) -> list[float]:
    """Seconds from each loss of the connection until the client was live in a room again."""
    found, lost = [], 0.0
    for saw in record.saw:
        if isinstance(saw, Ended) and saw.room is None:
            lost = saw.at
        elif isinstance(saw, Joined) and lost:
            found.append(saw.at - lost)
            lost = 0.0
    return found


def returned(crowd: Crowd) -> list[float]:
    """When each client came back, the first time."""
    return [
        next(saw.at for saw in one.record.saw if isinstance(saw, Joined) and saw.life == 2)
        for one in crowd.participants
    ]


async def test_nobody_loses_anything_while_the_app_is_replaced(busy: ContainedStack) -> None:
    """Every client resumes, spread over the drain and away for less than three seconds; nothing that was acked is
    lost, repeated or out of order."""
    (before,) = compose.ids(busy.place, "app")

    async def replace() -> None:
        await asyncio.sleep(TALK)
        said = await asyncio.to_thread(busy.make, "rollout", PORTCULLIS_MESSAGE_CHARACTERS="600")
        print(said.stdout)
        await asyncio.sleep(TALK)

    async with a_crowd(busy, 1, CLIENTS, ROOMS) as crowd:
        verdict = await run(crowd, 1.0, replace())
        print(report(crowd, verdict, {})["counted"])
        assert verdict.kept, str(verdict)
        gone = [seconds for one in crowd.participants for seconds in away(one.record)]
        assert len(gone) == CLIENTS
        assert quantiles(gone, n=100)[98] < MOST_AWAY, sorted(gone)[-5:]
        assert max(returned(crowd)) - min(returned(crowd)) > DRAIN / 2
    (after,) = compose.ids(busy.place, "app")
    assert after != before
    assert "healthy" in busy.make("status").stdout


async def test_an_app_that_does_not_get_well_is_taken_back(busy: ContainedStack) -> None:
    """The old one serves on, nobody is disconnected, and the command says why and fails."""
    (token,) = await asyncio.to_thread(accounts, busy, 1)
    client = await Through(busy).connect(token)
    before = compose.ids(busy.place, "app")
    done = await asyncio.to_thread(
        busy.make, "rollout", check=False, PORTCULLIS_BIND="unix:/nowhere/app.sock", PORTCULLIS_MESSAGE_CHARACTERS="600"
    )
    assert done.returncode != 0
    assert "did not become healthy" in done.stderr and "/nowhere" in done.stderr
    assert compose.ids(busy.place, "app") == before
    assert (await client.ask(type="ping"))["type"] == "ack"
    assert "healthy" in busy.make("status").stdout


async def test_a_new_certificate_reaches_whoever_comes_and_disturbs_nobody(busy: ContainedStack) -> None:
    """The app stays, and so does every socket."""
    await asyncio.to_thread(busy.make, "rollout", PORTCULLIS_MESSAGE_CHARACTERS="600")
    (token,) = await asyncio.to_thread(accounts, busy, 1)
    client = await Through(busy).connect(token)
    address, apps = ("127.0.0.1", busy.https_port), compose.ids(busy.place, "app")
    before = ssl.get_server_certificate(address)
    for name in ("server.pem", "server.key"):
        (busy.place.tls / name).unlink()
    await asyncio.to_thread(busy.make, "rollout", PORTCULLIS_MESSAGE_CHARACTERS="600")
    until(lambda: ssl.get_server_certificate(address) != before, "newcomers see the new certificate")
    assert (await client.ask(type="ping"))["type"] == "ack"
    assert compose.ids(busy.place, "app") == apps


def test_a_roll_out_that_was_cut_off_is_tidied_up(busy: ContainedStack) -> None:
    """Of two apps the one that is reached stays; `make up` repairs it without being told."""
    (before,) = compose.ids(busy.place, "app")
    compose.run(busy.place, "up", "--detach", "--no-recreate", "--scale", "app=2", "app")
    assert len(compose.ids(busy.place, "app")) == 2
    busy.make("up", PORTCULLIS_MESSAGE_CHARACTERS="600")
    assert compose.ids(busy.place, "app") == [before]
    assert engine.run("exec", before, "python", "-m", "stack.contained_app", "which") == before[:12]


@pytest.mark.parametrize(
    ("setting", "replaced"),
    [
        ({"PORTCULLIS_MESSAGE_CHARACTERS": "610"}, {"app"}),
        ({"PORTCULLIS_MESSAGE_CHARACTERS": "610", "PORTCULLIS_EDGE_MEMORY": "900m"}, {"edge"}),
    ],
    ids=["app", "edge"],
)
def test_up_replaces_what_changed(busy: ContainedStack, setting: dict[str, Any], replaced: set[str]) -> None:
    """And nothing else; the stack is well afterwards."""
    before = busy.containers()
    busy.make("up", **setting)
    after = busy.containers()
    assert {name for name in after if after[name] != before[name]} == replaced
    assert "healthy" in busy.make("status").stdout
