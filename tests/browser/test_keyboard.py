"""The page without a mouse and without eyes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter
from tests.browser.contrast import CONTRAST
from tests.browser.person import Person

CONTROLS = {"button", "textbox", "link", "checkbox", "dialog", "log", "navigation", "main", "form", "heading", "list"}
NAMELESS = {"list"}


def _nodes(page: Page) -> list[dict[str, Any]]:
    """The accessibility tree as the browser gives it to a screen reader, ignored nodes left out."""
    session = page.context.new_cdp_session(page)
    tree = session.send("Accessibility.getFullAXTree")
    session.detach()
    return [node for node in tree["nodes"] if not node.get("ignored")]


def _assert_named(page: Page) -> None:
    found = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in _nodes(page)]
    assert [role for role, name in found if role in CONTROLS - NAMELESS and not name.strip()] == []


def _tab_to(person: Person, name: str, key: str = "Tab") -> None:
    """Press Tab until the control with this name has the focus, as someone without a mouse does."""
    for _ in range(20):
        person.page.keyboard.press(key)
        if person.page.evaluate("document.activeElement?.textContent.trim()") == name:
            return
    raise AssertionError(f"{name} cannot be reached with the {key} key")


def test_everything_works_with_the_keyboard_alone(person: Enter) -> None:
    """Sign in, write, see one's sessions, come back to where one was, sign out: no mouse."""
    gil = person("page-gil")
    keyboard = gil.page.keyboard
    expect(gil.page.get_by_label("Name")).to_be_focused()
    keyboard.type("page-gil")
    keyboard.press("Tab")
    keyboard.type(gil.password)
    keyboard.press("Enter")
    gil.connected()
    expect(gil.box).to_be_focused()
    keyboard.type("first line")
    keyboard.press("Shift+Enter")
    keyboard.type("second line")
    keyboard.press("Enter")
    gil.stored("first line\nsecond line")
    _tab_to(gil, "Sessions", "Shift+Tab")
    keyboard.press("Enter")
    dialog = gil.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    _assert_named(gil.page)
    keyboard.press("Escape")
    expect(gil.page.get_by_role("button", name="Sessions")).to_be_focused()
    _tab_to(gil, "Skip to the message box", "Shift+Tab")
    expect(gil.page.get_by_role("link", name="Skip to the message box")).to_be_in_viewport()
    keyboard.press("Enter")
    expect(gil.box).to_be_focused()
    _tab_to(gil, "Sign out", "Shift+Tab")
    keyboard.press("Enter")
    expect(gil.page.get_by_label("Name")).to_be_focused()


def test_every_control_has_a_name_and_every_place_a_landmark(person: Enter, chatter: Enter) -> None:
    """The browser's own accessibility tree names each control; the log is a polite live region of its own."""
    stranger = person("page-ada")
    expect(stranger.page.get_by_label("Name")).to_be_focused()
    _assert_named(stranger.page)
    ada = chatter("page-ada")
    ada.say("a message to read")
    ada.stored("a message to read")
    _assert_named(ada.page)
    roles = {node["role"]["value"] for node in _nodes(ada.page)}
    assert {"banner", "main", "navigation", "log", "form", "status"} <= roles
    expect(ada.page.get_by_role("log", name="Messages in lobby")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(person: Enter, chatter: Enter, scheme: str) -> None:
    """WCAG 2.2 §1.4.3: at least 4.5:1 for all text, in both colour schemes, with a notice on the screen."""
    options = {"color_scheme": scheme, "reduced_motion": "reduce"}
    stranger = person("page-ada", **options)
    stranger.page.get_by_role("button", name="Sign in").click()
    stranger.told("Enter your name.")
    assert stranger.page.evaluate(CONTRAST) == []
    ada = chatter("page-ada", **options)
    ada.say(f"readable in {scheme}")
    ada.stored(f"readable in {scheme}")
    ada.say("\x07")
    ada.told("control characters")
    assert ada.page.evaluate(CONTRAST) == []
    ada.box.fill("")


def test_nothing_is_wider_than_a_phone(chatter: Enter) -> None:
    """WCAG 2.2 §1.4.10: at 320 pixels nothing has to be scrolled sideways, long words included."""
    ada = chatter("page-ada", viewport={"width": 320, "height": 640})
    ada.say("a" * 120)
    ada.stored("a" * 120)
    assert ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert ada.log.evaluate("log => log.scrollWidth <= log.clientWidth")
