"""The browser that trusts the stack's CA, and the people who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, StorageState, sync_playwright

from tests.browser.chromium import chromium, trust
from tests.browser.person import Person
from tests.stack.running import RunningStack

Accounts = Callable[..., str]
Enter = Callable[..., Person]

# Package scope throughout: Playwright's own event loop must be gone before another package's asynchronous tests begin.


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright, stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium that trusts this stack's CA and nothing else that is new."""
    home = tmp_path_factory.mktemp("home")
    trust(home, stack.ca)
    with chromium(playwright, home) as running:
        yield running


@pytest.fixture(scope="package")
def accounts(stack: RunningStack) -> Accounts:
    """The password of an account by its name; the account is made when it is first asked for."""
    passwords: dict[str, str] = {}

    def password(name: str, *more: str) -> str:
        if name not in passwords:
            passwords[name] = stack.user(name, *more) if more else stack.account(name)
        return passwords[name]

    return password


@pytest.fixture(scope="package")
def kept() -> dict[str, StorageState]:
    """Sessions by name: a second window of one person needs no second sign-in, as at home."""
    return {}


@pytest.fixture
def person(browser: Browser, stack: RunningStack, accounts: Accounts) -> Iterator[Enter]:
    """Opens the page for a person with an account. Afterwards no page may have complained about anything."""
    people: list[Person] = []

    def enter(name: str, **options: Any) -> Person:
        password = accounts(name, *options.pop("account", ()))
        context = browser.new_context(**options)
        people.append(Person(context, stack.url, name, password))
        return people[-1].open()

    yield enter
    for each in people:
        each.context.close()
    assert [(each.name, each.noise) for each in people if each.noise] == []


@pytest.fixture
def chatter(person: Enter, kept: dict[str, StorageState]) -> Enter:
    """A person who is in the room, signed in now or earlier."""

    def enter(name: str, **options: Any) -> Person:
        someone = person(name, storage_state=kept.get(name), **options)
        if name not in kept:
            someone.sign_in().connected()
            kept[name] = someone.context.storage_state()
        return someone.connected()

    return enter


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where the screenshots go that people look at."""
    folder = Path(__file__).parents[2] / "test-results" / "page"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
