"""A session that reaches its end while somebody is chatting."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Playwright, expect

from tests.browser.chromium import chromium, trust
from tests.browser.person import Person
from tests.stack.running import RunningStack

SHORT = {"PORTCULLIS_SESSION_ABSOLUTE_SECONDS": "12", "PORTCULLIS_EXPIRING_NOTICE_SECONDS": "10"}


def test_the_end_of_a_session_is_announced_and_explained(
    playwright: Playwright, stack: RunningStack, tmp_path: Path
) -> None:
    """The page asks for a fresh token, says that the end is near, and asks to sign in again; the draft stays."""
    with stack.beside(SHORT) as short:
        trust(tmp_path, short.ca)
        with chromium(playwright, tmp_path) as browser:
            ada = Person(browser.new_context(), short.url, "ada", short.user("ada")).open()
            tokens = ada.requests("/api/tokens")
            ada.sign_in().connected()
            ada.box.fill("unfinished")
            ada.told("Your session ends soon.")
            assert tokens == [201]
            ada.told("Your session has expired. Please sign in again.")
            ada.sign_in().connected()
            expect(ada.box).to_have_value("unfinished")
            ada.told("Your session ends soon.")
            # As the browser does at the end by itself, perhaps before the server closes the connection.
            ada.page.context.clear_cookies()
            ada.page.get_by_role("button", name="Sessions").click()
            ada.told("Your session has expired. Please sign in again.")
            assert ada.noise == []
            assert len(ada.sockets) == 2, "one for each session, and none when its end was near"
