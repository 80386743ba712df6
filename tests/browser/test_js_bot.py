"""A client in plain JavaScript, written from docs/clients.md alone, in Chromium against the whole stack."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession

from client import Client, Message, Token
from tests.browser.conftest import Accounts, Enter
from tests.browser.person import GATE_DOWN
from tests.patience import PATIENCE, until
from tests.stack.running import RunningStack

ROOT = Path(__file__).resolve().parents[2]
CODE = (ROOT / "tests" / "browser" / "bot.js").read_text("utf-8")


class Console:
    """The page's own console: its policy forbids pages to evaluate, not their owner."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    def run(self, code: str, *, wait: bool = False) -> Any:
        given = {"expression": code, "returnByValue": True, "awaitPromise": wait}
        answer = self._session.send("Runtime.evaluate", given)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")


def test_a_bot_written_from_the_page_has_everything_once_and_in_order(
    chatter: Enter, accounts: Accounts, stack: RunningStack
) -> None:
    """It joins, posts, is cut off by kill -9, misses what another says, resumes, and posts what it could not."""
    accounts("page-other")
    visitor = chatter("page-bot")
    visitor.excused.append(GATE_DOWN)
    console = Console(visitor.context.new_cdp_session(visitor.page))
    console.run(CODE)
    console.run(f"var bot = startBot({json.dumps(f'localhost:{stack.https_port}')}, 'lobby')")
    wait(console, "bot.live")
    begun = console.run("bot.position.offset")
    first = [console.run(f"bot.post('first {number}')", wait=True) for number in range(3)]
    wait(console, f"bot.position.offset >= {first[-1]}")

    visitor.context.set_offline(True)
    cut(stack)
    wait(console, "!bot.live")
    console.run("var late = bot.post('could not')")
    said = asyncio_run(lambda: other(stack, "page-other", [f"meanwhile {number}" for number in range(4)]))
    visitor.context.set_offline(False)
    wait(console, "bot.live")
    late = console.run("late", wait=True)
    last = asyncio_run(lambda: other(stack, "page-other", ["the end"]))
    wait(console, f"bot.position.offset >= {last[0]}")

    events = json.loads(console.run("JSON.stringify(bot.events)"))
    assert [event["offset"] for event in events] == list(range(begun + 1, last[0] + 1))
    texts = {event["message"]: event["offset"] for event in events if event["type"] == "message"}
    wanted = {**{f"first {n}": first[n] for n in range(3)}, "could not": late, "the end": last[0]}
    wanted |= {f"meanwhile {number}": offset for number, offset in enumerate(said)}
    assert texts == wanted
    assert console.run("[bot.gaps.length, bot.joins >= 2, bot.recoveries.slice(1).every(Boolean), bot.ended]") == [
        0,
        True,
        True,
        None,
    ]
    assert asyncio_run(lambda: stored(stack, "page-other", begun)) == [
        (one["offset"], one.get("message")) for one in events
    ]


def test_the_small_client_of_the_page_works(chatter: Enter, stack: RunningStack) -> None:
    """The complete example of docs/clients.md, as it stands there."""
    (example,) = re.findall(
        r"^```javascript\n(.*?)^```", (ROOT / "docs" / "clients.md").read_text("utf-8"), re.M | re.S
    )
    visitor = chatter("page-bot")
    visitor.excused.append(GATE_DOWN)
    console = Console(visitor.context.new_cdp_session(visitor.page))
    console.run(example)
    console.run(
        "var seen = [], post; const ticket = async () =>"
        " (await (await fetch('/api/tickets', {method: 'POST'})).json()).ticket;"
        f" chat('localhost:{stack.https_port}', ticket, 'lobby', (event) => seen.push(event))"
        ".then((made) => post = made)"
    )
    wait(console, "post")
    before = console.run("post('one')", wait=True)
    cut(stack)
    after = console.run("post('two')", wait=True)
    wait(console, f"seen.some((event) => event.offset === {after})")
    offsets = console.run("seen.map((event) => event.offset)")
    assert offsets == list(range(offsets[0], offsets[-1] + 1)) and {before, after} <= set(offsets)


def wait(console: Console, condition: str) -> None:
    """Until a condition holds in the page."""
    until(lambda: console.run(f"Boolean({condition})"), condition, PATIENCE * 4)


def cut(stack: RunningStack) -> None:
    """kill -9 of the server's worker, and wait until the next one answers."""
    master = stack.pid("app")
    children = Path(f"/proc/{master}/task/{master}/children")
    before = children.read_text()
    for pid in before.split():
        os.kill(int(pid), signal.SIGKILL)
    until(lambda: children.read_text() not in ("", before), "another worker", PATIENCE * 2)


async def other(stack: RunningStack, name: str, texts: list[str]) -> list[int]:
    """Somebody else posts; the offsets."""
    credential = Token(stack.token(name))
    async with Client(stack.url, credential, tls=stack.tls, inbox=0) as client:
        room = await client.join("lobby")
        return [await room.post(text) for text in texts]


async def stored(stack: RunningStack, name: str, after: int) -> list[tuple[int, str | None]]:
    """What the server itself has, from an offset on."""
    async with Client(stack.url, Token(stack.token(name)), tls=stack.tls) as client:
        page = await client.room("lobby").history(after=after)
        return [(event.offset, event.message if isinstance(event, Message) else None) for event in page.events]


def asyncio_run(made: Callable[[], Any]) -> Any:
    """Run a coroutine in a thread of its own: Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(made())).result()
