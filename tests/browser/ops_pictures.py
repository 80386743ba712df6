"""Pictures of `/ops` for the docs: a calm system, and the same one while strangers storm the gate.

`python -m tests.browser.ops_pictures docs/pictures` takes a quarter of an hour, because a chart shows one.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.browser.chromium import chromium, trust
from tests.browser.person import PATIENCE_MS, Person
from tests.browser.watched import STRANGERS, knock, talk, watched
from tests.stack.running import RunningStack

NAMES = ("ada", "bob", "carol", "dora", "emil", "fay", "gus", "hana")
CALM_SECONDS = 600.0
FLOOD_SECONDS = 150.0
MARGIN = 5.0
SIZE: ViewportSize = {"width": 1440, "height": 1080}


def main(folder: Path, calm: float = CALM_SECONDS, flood: float = FLOOD_SECONDS) -> None:
    """Write ops-calm.png and ops-flood.png into the folder."""
    with contextlib.ExitStack() as open_:
        scratch = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        stack = open_.enter_context(watched(scratch, node=""))
        stack.make("backup", TO=str(scratch / "backup"))
        trust(scratch / "home", stack.ca)
        browser = open_.enter_context(chromium(open_.enter_context(sync_playwright()), scratch / "home"))
        admin = Person(browser.new_context(viewport=SIZE), stack.url, "iris", stack.user("iris", "--admin"))
        admin.open().sign_in().connected()
        admin.page.goto(f"{stack.url}/ops")
        with ThreadPoolExecutor(1) as other:
            story = other.submit(asyncio.run, _story(stack, calm, flood))
            admin.page.wait_for_timeout(calm * 1000)
            _take(admin.page, folder / "ops-calm.png")
            admin.page.wait_for_timeout((flood - MARGIN) * 1000)
            _take(admin.page, folder / "ops-flood.png")
            story.result()


def _take(page: Page, path: Path) -> None:
    """As it looks now; the page asks by itself."""
    expect(page.locator("#pulse")).to_contain_text("Live", timeout=PATIENCE_MS)
    page.screenshot(path=path)


async def _story(stack: RunningStack, calm: float, flood: float) -> None:
    """A few who talk, and one who forgets the token; then many strangers besides, and one who cannot stop writing."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(talk(stack, name, 2.0 + at, stop)) for at, name in enumerate(NAMES)]
    forgetful = asyncio.create_task(_knock_again(stack, STRANGERS[0], 90, stop))
    await asyncio.sleep(calm + MARGIN)
    tasks += [asyncio.create_task(_knock_again(stack, address, 0.3, stop)) for address in STRANGERS]
    tasks.append(asyncio.create_task(_chatter(stack, stop)))
    await asyncio.sleep(flood)
    stop.set()
    await asyncio.gather(forgetful, *tasks)


async def _knock_again(stack: RunningStack, address: str, every: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await knock(stack, address)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every)


async def _chatter(stack: RunningStack, stop: asyncio.Event) -> None:
    """Throttled after a few posts, and shown out when they do not stop."""
    while not stop.is_set():
        with contextlib.suppress(Exception):  # refused while they have to cool down
            await talk(stack, "mallory", 0.4, stop)
        await asyncio.sleep(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
