"""From the newest release to this code, by one `make up`, while clients talk."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import canary
from tests.crowd import Poster, assert_acks_equal_store, posting, progress
from tests.patience import PATIENCE
from tests.socket.server import Client, Refused
from tests.stack.running import ROOT, RunningStack, new_stack
from tests.stack.through import Through

CLIENTS = 8
WIDER = {
    "PORTCULLIS_POSTS_PER_USER_PER_SECOND": "10",
    "PORTCULLIS_POSTS_PER_USER_BURST": "20",
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_PER_MINUTE": "6000",
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_BURST": "1000",
}
_RELEASE = re.compile(r"^\| (\d+\.\d+\.\d+) \| \S+ \| ([0-9a-f]{40}) \|", re.MULTILINE)


class Elder(Client):
    """Reads what an older server sends, whose frames had fewer fields."""

    async def receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))
        return frame


class Release(RunningStack):
    """A stack of released code, which knows no settings but those of its time."""

    def environ(self) -> dict[str, str]:
        since = ("PORTCULLIS_SHAPE", "PORTCULLIS_PROMETHEUS_URL")
        return {name: value for name, value in super().environ().items() if name not in since}


def newest_release() -> tuple[str, str]:
    """Its version and its commit."""
    found: list[tuple[str, str]] = _RELEASE.findall((ROOT / "docs" / "releases.md").read_text())
    return max(found, key=lambda one: [int(number) for number in one[0].split(".")])


def unpack(commit: str, folder: Path) -> None:
    """The code of a commit. Skips where this is no clone, or one without its history: then there is no such code."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(
            f"no release to upgrade from in this clone; git fetch --unshallow: {archive.stderr.decode().strip()}"
        )
    folder.mkdir(mode=0o755)
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)


async def talk(through: Through, token: str, address: str) -> Client | Refused:
    """One handshake; refusals of the edge, while the app is away, among them."""
    answer = await through.open(token, address=address)
    return Elder(answer.socket) if isinstance(answer, Client) else answer


async def test_clients_lose_nothing_when_the_newest_release_becomes_this_code() -> None:
    """Accounts, tokens and the history are kept; what was acked is there, once and in order, and talk goes on."""
    version, commit = newest_release()
    with new_stack(WIDER) as stack:
        old = Release(
            stack.state,
            WIDER,
            stack.state.parent / "release",
            https_port=stack.https_port,
            http_port=stack.http_port,
        )
        unpack(commit, old.clone)
        old.up()
        print(f"upgrading from {version}")
        through, posters = Through(stack), list[Poster]()
        for number in range(CLIENTS):
            name = f"elder{number}"
            old.user(name)
            token = old.token(name)
            canary.remember(token)
            posters.append(Poster(name, partial(talk, through, token, f"127.0.0.{number + 2}")))
        async with posting(posters):
            await progress(posters, 3)
            await asyncio.to_thread(stack.up)
            await progress(posters, 3)
        await assert_acks_equal_store(posters, through.inside.load().database)
        assert all(poster.closes for poster in posters)
        assert stack.make("status").returncode == 0
