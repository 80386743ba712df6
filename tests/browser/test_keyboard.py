"""The page without a mouse and without eyes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter
from tests.browser.contrast import CONTRAST
from tests.browser.person import PATIENCE_MS

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
    gil.tab_to("Sessions", "Shift+Tab")
    keyboard.press("Enter")
    dialog = gil.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    _assert_named(gil.page)
    keyboard.press("Escape")
    expect(gil.page.get_by_role("button", name="Sessions")).to_be_focused()
    gil.tab_to("Skip to the message box", "Shift+Tab")
    expect(gil.page.get_by_role("link", name="Skip to the message box")).to_be_in_viewport()
    keyboard.press("Enter")
    expect(gil.box).to_be_focused()
    gil.tab_to("Sign out", "Shift+Tab")
    keyboard.press("Enter")
    expect(gil.page.get_by_label("Name")).to_be_focused()


def test_the_whole_way_with_the_keyboard_alone(chatter: Enter) -> None:
    """Create a room, invite somebody, edit a message and remove a member: no mouse, and the focus is never lost."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    keys = ada.page.keyboard
    expect(ada.box).to_be_focused()
    ada.tab_to("Create a room", "Shift+Tab")
    keys.press("Enter")
    keys.type("By key")
    keys.press("Enter")
    ada.reads("By key")
    expect(ada.box).to_be_focused()
    keys.type("typo")
    keys.press("Enter")
    ada.stored("typo")
    ada.tab_to("Messages in By key", "Shift+Tab")
    keys.press("ArrowUp")
    keys.press("Enter")
    expect(ada.page.get_by_role("menuitem", name="Edit")).to_be_focused()
    keys.press("Enter")
    expect(ada.page.get_by_label("New text")).to_be_focused()
    keys.press("Control+A")
    keys.type("corrected")
    keys.press("Enter")
    expect(ada.message("corrected")).to_contain_text("edited", timeout=PATIENCE_MS)
    ada.tab_to("Members", "Shift+Tab")
    keys.press("Enter")
    ada.tab_to("Invite somebody")
    keys.type("page-bob")
    keys.press("Enter")
    ada.told("page-bob is invited.")
    bob.accept("By key")
    expect(ada.members().get_by_role("heading", name="Here now · 2")).to_be_visible(timeout=PATIENCE_MS)
    ada.tab_to("What to do about page-bob")
    keys.press("Enter")
    expect(ada.page.get_by_role("menuitem", name="Make owner")).to_be_focused()
    keys.press("End")
    keys.press("ArrowUp")
    keys.press("Enter")
    expect(ada.page.get_by_label("Reason")).to_be_focused()
    keys.type("by key")
    keys.press("Enter")
    bob.told("page-ada removed you: by key.")
    assert ada.page.evaluate("document.activeElement !== document.body")


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
