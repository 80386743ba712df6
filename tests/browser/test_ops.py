"""The page for administrators, with a real Prometheus behind it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Playwright, Response, Route, expect

from tests.browser.chromium import chromium, trust
from tests.browser.conftest import Enter
from tests.browser.person import PATIENCE_MS, Person
from tests.browser.pictures import DESKTOP, PHONE, take
from tests.browser.watched import STRANGERS, flood, knock, talk, watched
from tests.monitoring import parts
from tests.patience import PATIENCE
from tests.stack.running import RunningStack

FORMATS: list[tuple[tuple[float | None, str], str]] = [
    ((0, "count"), "0"),
    ((12_345, "count"), "12.3k"),
    ((0.05, "per_second"), "0.05/s"),
    ((0.0123, "seconds"), "12.3 ms"),
    ((90, "seconds"), "90 s"),
    ((40 * 86_400, "seconds"), "40 d"),
    ((-3_600, "seconds"), "\N{MINUS SIGN}60 min"),
    ((1_572_864, "bytes"), "1.5 MiB"),
    ((2_048, "bytes_per_second"), "2 KiB/s"),
    ((0.1234, "share"), "12.3 %"),
    ((0.00001, "share"), "<0.01 %"),
    ((None, "share"), "\N{EN DASH}"),
]
UNITS = """
async (given) => {
  const { format } = await import('/web/ops/units.js');
  return given.map((one) => format(...one));
}
"""
LEVELS = """
async (given) => {
  const { state, worst } = await import('/web/ops/levels.js');
  return given.map(([values, levels]) => state(worst(values, levels), levels));
}
"""
DRAWN = """
async () => {
  const { lonely, stack } = await import('/web/ops/series.js');
  const of = (...rows) => rows.map((values) => ({ values }));
  return [stack(of([1, null, 2], [3, null, null])), lonely([1, null, 2, 3, null, 4])];
}
"""
PACE = """
async () => {
  const { Pace, Queue } = await import('/web/ops/pace.js');
  let hidden = true;
  let ticks = 0;
  Object.defineProperty(document, 'hidden', { get: () => hidden });
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const pace = new Pace(0.01, async () => (ticks += 1));
  pace.start();
  await pause(100);
  const away = ticks;
  hidden = false;
  document.dispatchEvent(new Event('visibilitychange'));
  while (ticks < 3) await pause(5);
  pace.stop();
  const seen = { running: 0, most: 0 };
  const ask = async () => {
    seen.most = Math.max(seen.most, (seen.running += 1));
    await pause(1);
    seen.running -= 1;
    return 'answer';
  };
  const queue = new Queue();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => queue.add(ask, () => at % 2 === 0)));
  const asked = answers.filter((one) => one === 'answer').length;
  return [away, seen.most, asked, answers.filter((one) => one === null).length];
}
"""
INKED = """
(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) colours.add(data.slice(at, at + 3).join());
  return colours.size;
}
"""
Visit = Callable[..., Person]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ops")


@pytest.fixture(scope="module")
def exporter(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Where the machine's exporter answers, and what ends it."""
    with contextlib.ExitStack() as open_:
        yield open_.enter_context(parts.node(folder)), open_.close


@pytest.fixture(scope="module")
def place(stack: RunningStack, folder: Path, exporter: tuple[str, Callable[[], None]]) -> Iterator[RunningStack]:
    """A watched stack, where somebody talked and somebody was refused."""
    with watched(folder, exporter[0], stack.state, hasty=True) as one, ThreadPoolExecutor(1) as other:
        # Playwright has an event loop of its own in this thread
        other.submit(asyncio.run, _life(one, 25)).result()
        yield one


@pytest.fixture(scope="module")
def window(playwright: Playwright, place: RunningStack, folder: Path) -> Iterator[Browser]:
    trust(folder / "home", place.ca)
    with chromium(playwright, folder / "home") as running:
        yield running


@pytest.fixture(scope="module")
def passwords(place: RunningStack) -> dict[str, str]:
    return {"ops-ada": place.user("ops-ada", "--admin"), "ops-bob": place.user("ops-bob")}


@pytest.fixture
def visit(window: Browser, place: RunningStack, passwords: dict[str, str]) -> Iterator[Visit]:
    """Opens `/ops` for somebody who has signed in; afterwards no page may have complained about anything."""
    people: list[Person] = []

    def visit(name: str, **options: Any) -> Person:
        one = Person(window.new_context(**options), place.url, name, passwords[name])
        people.append(one)
        one.open().sign_in().connected()
        one.page.goto(f"{place.url}/ops")
        return one

    yield visit
    for one in people:
        one.context.close()
    assert [(one.name, one.noise) for one in people if one.noise] == []


def figure(one: Person, name: str) -> Locator:
    return one.page.locator(f'.figure[data-panel="{name}"]')


def card(one: Person, name: str) -> Locator:
    return one.page.locator(f'.card[data-panel="{name}"]')


def test_an_administrator_sees_figures_and_charts(place: RunningStack, visit: Visit, pictures: Path) -> None:
    """Real values, with their units, in all windows; what is refused shows up by itself, and keys read a chart."""
    ada = visit("ops-ada", **DESKTOP)
    expect(figure(ada, "down")).to_contain_text("0", timeout=PATIENCE_MS)
    expect(figure(ada, "certificate")).to_contain_text(re.compile(r"\d+ d"))
    expect(figure(ada, "backup")).to_contain_text("No data")
    expect(card(ada, "handshakes")).to_contain_text("accepted", timeout=PATIENCE_MS)
    expect(card(ada, "refusals")).to_contain_text("credential_missing", timeout=PATIENCE_MS)
    assert card(ada, "processor").locator("canvas").evaluate(INKED) > 1
    expect(card(ada, "valkey_memory")).to_be_hidden()
    expect(ada.page.get_by_text("Nothing in this time: ").filter(has_text="Valkey's memory")).to_be_visible()
    _read_by_keys(card(ada, "refusals").get_by_role("slider"))
    for window in ("6 h", "7 d", "15 min"):
        asked = f"/panels/processor?window={window.replace(' ', '').replace('min', 'm')}"
        with ada.page.expect_response(partial(_is_for, asked)) as answer:
            ada.page.get_by_text(window, exact=True).click()
        assert answer.value.status == 200
        expect(ada.page.get_by_role("radio", name=window)).to_be_checked()
    expect(card(ada, "processor").locator("canvas")).to_be_visible(timeout=PATIENCE_MS)
    take(ada, pictures, "ops-desktop")
    phone = visit("ops-ada", **PHONE)
    expect(card(phone, "handshakes")).to_contain_text("accepted", timeout=PATIENCE_MS)
    take(phone, pictures, "ops-phone")
    card(phone, "handshakes").scroll_into_view_if_needed()
    take(phone, pictures, "ops-charts-phone")


def _is_for(path: str, answer: Response) -> bool:
    return answer.url.endswith(path)


def _read_by_keys(chart: Locator) -> None:
    chart.focus()
    newest = chart.get_attribute("aria-valuetext")
    chart.press("ArrowLeft")
    chart.press("ArrowLeft")
    assert chart.get_attribute("aria-valuetext") != newest
    expect(chart.locator(".tip")).to_be_visible()
    chart.press("Escape")
    expect(chart.locator(".tip")).to_be_hidden()
    expect(chart).to_have_attribute("aria-valuetext", newest or "")


async def _life(place: RunningStack, seconds: float) -> None:
    """Somebody talks, and a stranger knocks without a token."""
    stop = asyncio.Event()
    talking = asyncio.create_task(talk(place, "ops-ann", 1.5, stop))
    for at in range(int(seconds)):
        assert await knock(place, STRANGERS[at % len(STRANGERS)]) == 401
        await asyncio.sleep(1)
    stop.set()
    await asyncio.wait_for(talking, PATIENCE)


def test_an_administrator_bans_and_lifts_and_reads(visit: Visit, pictures: Path) -> None:
    """Bans, accounts and records of rooms, each as a dialog that says what came of it."""
    ada = visit("ops-ada", **DESKTOP)
    page = ada.page
    page.get_by_role("button", name="Bans").click()
    bans = page.get_by_role("dialog", name="Bans")
    expect(bans.get_by_text("Nobody is banned.")).to_be_visible(timeout=PATIENCE_MS)
    bans.get_by_role("button", name="Ban …").click()
    ada.answers("Ban somebody", "Ban", Name_or_address="ops-bob", Reason="spam in the lobby")
    ada.told("ops-bob is banned.")
    expect(bans.get_by_role("listitem")).to_contain_text("spam in the lobby")
    take(ada, pictures, "ops-bans-desktop")
    bans.get_by_role("button", name="Lift the ban of ops-bob").click()
    ada.told("The ban of ops-bob is lifted.")
    expect(bans.get_by_text("Nobody is banned.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Bans")).to_be_focused()
    for what, told in (
        ("Disable it, which ends its sessions too", "The account ops-bob is disabled."),
        ("Enable it again", "The account ops-bob is enabled."),
        ("End all its sessions", "All sessions of ops-bob are ended."),
    ):
        page.get_by_role("button", name="Accounts").click()
        ada.answers("Account", "Do it", Name="ops-bob", What_to_do=what)
        ada.told(told)
    page.get_by_role("button", name="Room records").click()
    ada.excused.append(re.compile("status of 404"))
    records = page.get_by_role("dialog", name="Room records")
    records.get_by_label("Room", exact=True).fill("nowhere")
    records.get_by_role("button", name="Show").click()
    ada.told("There is no such room.")
    records.get_by_label("Room", exact=True).fill("lobby")
    records.get_by_role("button", name="Show").click()
    ada.told("Nothing was changed about this room.")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Chat").click()
    expect(ada.connected().page.get_by_role("link", name="Operations")).to_be_visible()
    take(ada, pictures, "ops-link-desktop")


def test_an_administrator_lets_off_who_cools_down(place: RunningStack, visit: Visit, pictures: Path) -> None:
    """Who was closed for flooding is listed, and gets in again as soon as that is lifted."""
    place.user("ops-mallory")
    ada = visit("ops-ada", **DESKTOP)
    with ThreadPoolExecutor() as pool:
        # not in the thread of the page, which has a loop of its own
        assert pool.submit(asyncio.run, flood(place, "ops-mallory")).result() == 4500
        assert pool.submit(asyncio.run, _knock_as(place, "ops-mallory")).result() == 429
        ada.page.get_by_role("button", name="Cool-downs").click()
        dialog = ada.page.get_by_role("dialog", name="Cool-downs")
        expect(dialog.get_by_role("listitem")).to_contain_text(re.compile(r"ops-malloryuntil \d"), timeout=PATIENCE_MS)
        take(ada, pictures, "ops-cooldowns-desktop")
        dialog.get_by_role("button", name="Lift the cool-down of ops-mallory").click()
        ada.told("The cool-down of ops-mallory is lifted.")
        expect(dialog.get_by_text("Nobody is cooling down.")).to_be_visible()
        assert pool.submit(asyncio.run, _knock_as(place, "ops-mallory")).result() == 101


def test_an_administrator_sees_the_nodes(visit: Visit, pictures: Path) -> None:
    """With what is on them; draining asks first, and the only one is kept, with the reason."""
    ada = visit("ops-ada", **DESKTOP)
    ada.excused.append(re.compile("status of 409"))
    ada.page.get_by_role("button", name="Nodes").click()
    dialog = ada.page.get_by_role("dialog", name="Nodes")
    expect(dialog.get_by_role("listitem")).to_contain_text(
        re.compile(r"\d connections? · 1 process"), timeout=PATIENCE_MS
    )
    take(ada, pictures, "ops-nodes-desktop")
    dialog.get_by_role("button", name="Drain").click()
    asked = ada.page.get_by_role("dialog", name="Drain")
    expect(asked).to_contain_text("go on at the other nodes")
    asked.get_by_role("button", name="Drain", exact=True).click()
    ada.told("No other node would take its people: it is the last one that is open.")


async def _knock_as(place: RunningStack, name: str) -> int:
    return await knock(place, "127.0.0.1", await place.mint(name))


def test_who_is_no_administrator_gets_a_sentence(
    window: Browser, place: RunningStack, visit: Visit, pictures: Path
) -> None:
    """And a way on: to the sign-in, or back to the chat. Nothing of the page is shown or asked for."""
    bob = visit("ops-bob", **DESKTOP)
    expect(bob.page.get_by_role("heading", name="This page is for administrators")).to_be_visible(timeout=PATIENCE_MS)
    expect(bob.page.get_by_role("link", name="Back to the chat")).to_have_attribute("href", "/")
    expect(bob.page.get_by_role("button", name="Bans")).to_be_hidden()
    take(bob, pictures, "ops-refused-desktop")
    bob.page.get_by_role("link", name="Back to the chat").click()
    expect(bob.connected().page.get_by_role("link", name="Operations")).to_be_hidden()
    stranger = Person(window.new_context(viewport={"width": 390, "height": 780}), place.url, "", "")
    asked = stranger.requests("/api/ops/")
    stranger.page.goto(f"{place.url}/ops")
    expect(stranger.page.get_by_role("heading", name="You are not signed in")).to_be_visible(timeout=PATIENCE_MS)
    take(stranger, pictures, "ops-stranger-phone")
    stranger.page.get_by_role("link", name="Sign in").click()
    expect(stranger.page.get_by_label("Name")).to_be_visible(timeout=PATIENCE_MS)
    assert (asked, stranger.noise) == ([], [])
    stranger.context.close()


def test_without_prometheus_the_page_says_what_to_do(
    playwright: Playwright, stack: RunningStack, tmp_path: Path, pictures: Path
) -> None:
    """Nothing is drawn, and bans can be looked at all the same."""
    with stack.beside({"PORTCULLIS_PROMETHEUS_URL": ""}) as bare:
        trust(tmp_path, bare.ca)
        with chromium(playwright, tmp_path) as browser:
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            ada = Person(context, bare.url, "ops-ada", bare.user("ops-ada", "--admin")).open().sign_in().connected()
            ada.page.get_by_role("link", name="Operations").click()
            heading = ada.page.get_by_role("heading", name="This server has no Prometheus")
            expect(heading).to_be_visible(timeout=PATIENCE_MS)
            for words in ("make status", "PORTCULLIS_PROMETHEUS_PORT", "PORTCULLIS_PROMETHEUS_URL"):
                expect(ada.page.get_by_text(words)).to_be_visible()
            take(ada, pictures, "ops-unwatched-desktop")
            ada.page.get_by_role("button", name="Bans").click()
            bans = ada.page.get_by_role("dialog", name="Bans")
            expect(bans).to_contain_text("Nobody is banned.", timeout=PATIENCE_MS)
            assert ada.noise == []


def test_one_panel_that_fails_does_not_trouble_the_others(visit: Visit) -> None:
    """It says so by itself, and what the server could not answer is asked again."""
    ada = visit("ops-ada", **DESKTOP)
    expect(card(ada, "processor")).to_be_visible(timeout=PATIENCE_MS)
    ada.page.route("**/panels/memory?*", lambda route: route.fulfill(status=503, json={"reason": "unwatched"}))
    ada.page.reload()
    expect(card(ada, "memory")).to_contain_text("Nothing new: Prometheus does not answer.", timeout=PATIENCE_MS)
    expect(card(ada, "processor").locator("canvas")).to_be_visible(timeout=PATIENCE_MS)
    expect(ada.page.locator("#pulse")).to_contain_text("Live")
    ada.page.unroute("**/panels/memory?*")
    expect(card(ada, "memory").locator("canvas")).to_be_visible(timeout=PATIENCE_MS)


def test_what_is_not_known_is_not_called_well(visit: Visit) -> None:
    """Where the alerts cannot be had, the page says so; where it was only too hasty, it asks once more by itself."""
    ada = visit("ops-ada", **DESKTOP)
    expect(ada.page.locator("#summary")).to_have_text(re.compile("firing|All is well"), timeout=PATIENCE_MS)
    # One route throughout: between two of them a question would go through.
    answers: list[int] = []
    hasty = False

    def answer(route: Route) -> None:
        if not hasty:
            route.fulfill(status=503, json={"reason": "unwatched"})
        elif 429 not in answers:
            answers.append(429)
            route.fulfill(status=429, json={"reason": "edge_rate"}, headers={"Retry-After": "1"})
        else:
            answers.append(200)
            route.continue_()

    ada.page.route("**/api/ops/alerts", answer)
    expect(ada.page.locator("#summary")).to_contain_text("Which alerts fire is not known", timeout=2 * PATIENCE_MS)
    level, words = ada.page.locator("#summary").evaluate("one => [one.dataset.state, one.textContent]")
    # Worse than a warning only where it names what the machine itself is in trouble with.
    assert level == "warn" or (level == "bad" and "look at" in words)
    hasty = True
    expect(ada.page.locator("#summary")).to_have_text(re.compile("firing|All is well"), timeout=2 * PATIENCE_MS)
    # Later ones are the page's next rounds, which come whatever the last one brought.
    assert answers[:2] == [429, 200]


def test_what_is_bad_is_said_in_words_and_colours(
    visit: Visit, exporter: tuple[str, Callable[[], None]], pictures: Path
) -> None:
    """A part that stops answering turns its figure, fires its alert, and is named in the page's one sentence."""
    ada, phone = visit("ops-ada", **DESKTOP), visit("ops-ada", **PHONE)
    expect(figure(ada, "down")).to_have_attribute("data-state", "fine", timeout=PATIENCE_MS)
    exporter[1]()
    for one in (ada, phone):
        expect(figure(one, "down")).to_contain_text("Bad", timeout=2 * PATIENCE_MS)
        alert = one.page.locator('[data-alert="PartDown"]')
        expect(alert).to_contain_text("docs/operate/alerts/PartDown.md", timeout=2 * PATIENCE_MS)
        expect(alert).to_contain_text(exporter[0])
        expect(one.page.locator("#summary")).to_contain_text("Parts down")
        expect(one.page).to_have_title(re.compile(r"^\(\d+\) Operations"))
    take(ada, pictures, "ops-trouble-desktop")
    take(phone, pictures, "ops-trouble-phone")


def test_units_levels_and_stacks(person: Enter) -> None:
    """The page's pure modules: values in a person's words, what deserves a look, and what is drawn where."""
    page = person("page-ada").page
    assert page.evaluate(UNITS, [list(given) for given, _ in FORMATS]) == [text for _, text in FORMATS]
    more, less = {"warn": 1, "bad": 5}, {"warn": 0.2, "bad": 0.05}
    given: list[list[Any]] = [
        [[0.5], more],
        [[0, 1], more],
        [[5, 1], more],
        [[0.5], less],
        [[0.5, 0.2], less],
        [[0.01], less],
        [[None], more],
    ]
    assert page.evaluate(LEVELS, given) == ["fine", "warn", "bad", "fine", "warn", "bad", "fine"]
    assert page.evaluate(DRAWN) == [[[1, None, 2], [4, None, 2]], [0, 5]]


def test_nothing_is_asked_while_nobody_looks(person: Enter) -> None:
    """A hidden tab is silent and goes on at once when it is seen; four questions at a time, none that is outdated."""
    assert person("page-ada").page.evaluate(PACE) == [0, 4, 10, 10]
