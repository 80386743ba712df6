"""Away and back: a network that is gone for 20 seconds, a page that sleeps; nothing is lost and nothing comes twice."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect

from tests.browser.chromium import chromium, trust
from tests.browser.conftest import Accounts, Enter
from tests.browser.person import GATE_DOWN, PATIENCE_MS, Person
from tests.browser.wire import Wire
from tests.stack.running import RunningStack

AWAY = 20.0
ASLEEP = 12.0
BACK_MS = 4 * PATIENCE_MS


@pytest.fixture
def wire(stack: RunningStack) -> Iterator[Wire]:
    with Wire(stack.https_port).running() as running:
        yield running


@pytest.fixture
def wired(playwright: Playwright, stack: RunningStack, wire: Wire, tmp_path: Path) -> Iterator[Browser]:
    """A browser that reaches the stack only through the wire, under the stack's own name and port."""
    trust(tmp_path, stack.ca)
    rule = f"MAP localhost:{stack.https_port} 127.0.0.1:{wire.port}"
    with chromium(playwright, tmp_path, f"--host-resolver-rules={rule}") as running:
        yield running


def _texts(person: Person, words: str) -> list[str]:
    """What was said with these words, in the order in which the person sees it."""
    shown: list[str] = person.log.locator(".text").all_inner_texts()
    return [text for text in shown if text.startswith(words)]


def test_a_network_that_is_gone_for_20_seconds_costs_nothing(
    wired: Browser, wire: Wire, stack: RunningStack, accounts: Accounts, chatter: Enter
) -> None:
    """The page notices within 10 s; what others said meanwhile is there once and in order, own words were sent once."""
    bob = chatter("page-bob")
    ada = Person(wired.new_context(), stack.url, "page-ada", accounts("page-ada")).open().sign_in().connected()
    ada.excused.append(GATE_DOWN)
    bob.say("cut 0")
    ada.sees("cut 0")
    wire.cut()
    gone = time.monotonic()
    ada.say("cut: mine before it was noticed")
    ada.told(re.compile("The connection was lost|The server does not answer"))
    assert time.monotonic() - gone < 10
    ada.say("cut: mine while away")
    expect(ada.message("cut: mine while away")).to_contain_text("Sending")
    for number in range(1, 13):
        bob.say(f"cut {number}")
        bob.stored(f"cut {number}")
        bob.page.wait_for_timeout(1000)  # the pace at which one may post
    bob.page.wait_for_timeout(max(0.0, gone + AWAY - time.monotonic()) * 1000)
    wire.mend()
    expect(ada.page.get_by_role("status").filter(has_text="Connected")).to_be_visible(timeout=BACK_MS)
    for mine in ("cut: mine before it was noticed", "cut: mine while away"):
        bob.sees(mine, sender="page-ada")
        ada.stored(mine)
    said = [*(f"cut {number}" for number in range(13)), "cut: mine before it was noticed", "cut: mine while away"]
    assert _texts(bob, "cut") == said
    assert _texts(ada, "cut") == said
    expect(ada.log).not_to_contain_text("may be missing")
    ada.page.reload()
    ada.connected()
    ada.sees("cut: mine while away")
    assert _texts(ada, "cut") == said
    assert ada.noise == []
    ada.context.close()


@pytest.mark.parametrize("way", ["frozen", "stopped"])
def test_a_page_that_slept_catches_up(person: Enter, chatter: Enter, way: str) -> None:
    """Frozen by the browser, or its process stopped as on a machine that sleeps: awake again, it catches up at once."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    ada.excused.append(GATE_DOWN)
    bob.say(f"{way} 0")
    ada.sees(f"{way} 0")
    with _asleep(ada, way):
        for number in range(1, 5):
            bob.say(f"{way} {number}")
            bob.stored(f"{way} {number}")
        bob.page.wait_for_timeout(ASLEEP * 1000)
    ada.sees(f"{way} 4")
    expect(ada.page.get_by_role("status").filter(has_text="Connected")).to_be_visible(timeout=BACK_MS)
    ada.say(f"{way} and mine")
    bob.sees(f"{way} and mine", sender="page-ada")
    said = [*(f"{way} {number}" for number in range(5)), f"{way} and mine"]
    assert _texts(ada, way) == said
    assert _texts(bob, way) == said


@contextmanager
def _asleep(person: Person, way: str) -> Iterator[None]:
    if way == "frozen":
        console = person.context.new_cdp_session(person.page)
        console.send("Page.setWebLifecycleState", {"state": "frozen"})
        yield
        console.send("Page.setWebLifecycleState", {"state": "active"})
        return
    renderer = _renderer(person)
    os.kill(renderer, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(renderer, signal.SIGCONT)


def _renderer(person: Person) -> int:
    """The process that runs this page: the one that works while the page is made to."""
    browser = person.context.browser
    assert browser
    console = browser.new_browser_cdp_session()

    def spent() -> dict[int, float]:
        found = console.send("SystemInfo.getProcessInfo")["processInfo"]
        return {one["id"]: one["cpuTime"] for one in found if one["type"] == "renderer"}

    before = spent()
    person.page.evaluate("() => { const ends = performance.now() + 400; while (performance.now() < ends); }")
    after = spent()
    console.detach()
    return max(after, key=lambda pid: after[pid] - before.get(pid, after[pid]))
