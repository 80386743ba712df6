"""A certificate from elsewhere, in containers."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from tests.containers.contained import ContainedStack
from tests.stack import elsewhere

CHALLENGE = ".well-known/acme-challenge"


async def test_it_is_shown_and_renewed_under_live_sockets(contained: ContainedStack, tmp_path: Path) -> None:
    """`make up` takes it, and takes the next one without replacing a container or dropping a socket."""
    usual, authority = contained.settings, elsewhere.Authority(tmp_path)
    contained.settings = {**usual, **elsewhere.settings(*authority.sign(elsewhere.NAME))}
    try:
        assert "Took the given certificate" in await asyncio.to_thread(contained.up)
        first, before = elsewhere.shown(contained), contained.containers()
        ann = await elsewhere.talking(contained, await contained.mint("tls-ann"))
        authority.sign(elsewhere.NAME)
        await asyncio.to_thread(contained.up)
        assert elsewhere.shown(contained) != first
        assert contained.containers()["edge"] == before["edge"]
        assert contained.containers()["app"] == before["app"]
        assert (await ann.post("still here"))["type"] == "ack"
        assert contained.make("status").stdout.rstrip().endswith("healthy")
    finally:
        contained.settings = usual
        await asyncio.to_thread(contained.up)


def test_acme_challenges_are_answered(contained: ContainedStack) -> None:
    """With what an ACME client of the host has just put into the state folder."""
    folder = contained.state / "acme" / CHALLENGE
    folder.mkdir(parents=True)
    (folder / "a-token").write_text("its answer")
    url = f"http://localhost:{contained.http_port}/{CHALLENGE}/a-token"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"its answer"
