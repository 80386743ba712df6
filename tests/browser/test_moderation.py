"""What owners and moderators do about members on the page, and what those see of it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.person import PATIENCE_MS, Person


def test_who_is_removed_sees_why_and_gets_nothing_more(chatter: Enter) -> None:
    """The reason stands on the page, nothing can be written, and what is said afterwards does not arrive."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    frames: list[str] = []
    bob.page.on("websocket", lambda socket: socket.on("framereceived", lambda text: frames.append(str(text))))
    bob.page.reload()
    bob.connected()
    ada.meet(bob, "The gatehouse")
    ada.about("page-bob", "Remove from the room")
    ada.answers("Remove page-bob", "Remove", Reason="too loud")
    bob.told("page-ada removed you: too loud.")
    expect(bob.box).not_to_be_editable()
    expect(bob.listed("The gatehouse")).to_have_count(0)
    ada.say("now that he is gone")
    ada.stored("now that he is gone")
    bob.page.get_by_role("button", name="Go to the lobby").click()
    bob.reads("Lobby")
    bob.say("still here")
    bob.stored("still here")
    assert "now that he is gone" not in "".join(frames)
    bob.page.reload()
    bob.reads("Lobby")


def test_a_ban_keeps_out_until_it_is_lifted(chatter: Enter) -> None:
    """A public room: the banned one is told until when, cannot come back, and can once the ban is lifted."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    ada.create("The square", public=True)
    _join(bob, "The square")
    ada.about("page-bob", "Ban from the room")
    ada.answers("Ban page-bob", "Ban", For="1 day", Reason="spam")
    bob.told(re.compile(r"page-ada banned you until .+: spam\."))
    bob.page.get_by_role("button", name="Public rooms").click()
    dialog = bob.page.get_by_role("dialog", name="Public rooms")
    expect(dialog.get_by_role("status")).to_have_text(re.compile("Everybody|There is no"))
    expect(dialog.get_by_role("button", name="Join The square")).to_have_count(0)
    bob.page.keyboard.press("Escape")
    row = ada.members().locator('[data-user="page-bob"]')
    expect(row).to_contain_text("Banned until")
    ada.about("page-bob", "Lift the ban")
    expect(row).to_have_count(0)
    _join(bob, "The square")
    bob.say("back again")
    ada.sees("back again")


def _join(person: Person, title: str) -> None:
    person.page.get_by_role("button", name="Public rooms").click()
    person.page.get_by_role("button", name=f"Join {title}").click()
    person.reads(title)
    person.connected()


def test_who_is_muted_reads_on_and_knows_until_when(chatter: Enter) -> None:
    """The message box is closed with a reason and a countdown, and opens when the mute is lifted."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    ada.meet(bob, "The quiet room")
    ada.about("page-bob", "Mute")
    ada.answers("Mute page-bob", "Mute", For="10 minutes", Reason="let others speak")
    bob.told(
        re.compile(
            r"^You are muted here until .+\. Reason: let others speak\. You can write again in (9 min \d+ s|10 min)\.$"
        )
    )
    expect(bob.box).not_to_be_editable()
    expect(ada.members().locator('[data-user="page-bob"]')).to_contain_text("Muted until")
    ada.say("can you hear me?")
    bob.sees("can you hear me?")
    bob.page.reload()
    bob.reads("The quiet room")
    bob.told(re.compile(r"^You are muted here until .+\. You can write again in"))
    ada.about("page-bob", "Let them write again")
    expect(bob.notice("You are muted")).to_have_count(0, timeout=PATIENCE_MS)
    bob.say("thank you")
    ada.sees("thank you", sender="page-bob")


def test_who_comes_and_goes_leaves_a_begun_click_and_an_open_menu_alone(chatter: Enter) -> None:
    """The list changes around the button that is held down, and the focus comes back to it."""
    ada, bob, carol = chatter("page-ada"), chatter("page-bob"), chatter("page-carol")
    ada.meet(bob, "The foyer")
    ada.invite("page-carol")
    asked = ada.members().get_by_role("button", name="What to do about page-bob")
    asked.hover()
    ada.page.mouse.down()
    carol.accept("The foyer")
    expect(ada.members().get_by_role("heading", name="Here now · 3")).to_be_visible(timeout=PATIENCE_MS)
    ada.page.mouse.up()
    expect(ada.page.get_by_role("menuitem", name="Mute")).to_be_visible()
    carol.about_room("Leave")
    carol.answers("Leave The foyer?", "Leave")
    expect(ada.members().get_by_role("heading", name="Here now · 2")).to_be_visible(timeout=PATIENCE_MS)
    ada.page.keyboard.press("Escape")
    expect(asked).to_be_focused()


def test_only_who_may_is_offered_to_act(chatter: Enter) -> None:
    """A member's menus are empty, a moderator's have what moderators may do, and the server's refusal is a sentence."""
    ada, bob, carol = chatter("page-ada"), chatter("page-bob"), chatter("page-carol")
    ada.meet(bob, "The council")
    ada.invite("page-carol")
    ada.receives(carol, "The council")
    acting = bob.members().get_by_role("button", name=re.compile("^What to do about"))
    expect(bob.members().locator("[data-user]")).to_have_count(3, timeout=PATIENCE_MS)
    expect(acting).to_have_count(0)
    expect(bob.page.get_by_label("Invite somebody")).to_be_hidden()
    ada.about("page-bob", "Make moderator")
    expect(bob.log).to_contain_text("page-ada made you a moderator", timeout=PATIENCE_MS)
    expect(acting).to_have_count(1)
    bob.members().get_by_role("button", name="What to do about page-carol").click()
    choices = bob.page.get_by_role("menuitem").all_inner_texts()
    assert choices == ["Mute …", "Remove from the room …", "Ban from the room …"]
    bob.page.keyboard.press("Escape")
    bob.members().get_by_label("Invite somebody").fill("page-nobody")
    bob.page.keyboard.press("Enter")
    bob.told("There is no such user.")
