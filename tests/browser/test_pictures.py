"""What the rooms look like on a desktop and on a phone, for people to look at; nothing of it may be hard to read."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Accounts, Enter
from tests.browser.person import GATE_DOWN, PATIENCE_MS, Person
from tests.browser.pictures import DESKTOP, PHONE, take

TITLE = "Masonry and gates"


def test_rooms_on_a_desktop_and_on_a_phone(chatter: Enter, accounts: Accounts, pictures: Path) -> None:
    """The list with what is unread, a tombstone and an edit, members with a menu, an invitation, the offline banner."""
    accounts("page-carol")
    ada, bob = chatter("page-ada", **DESKTOP), chatter("page-bob", **PHONE)
    _invitation(ada, bob, pictures)
    _talk(ada, bob)
    for person, name in ((ada, "desktop"), (bob, "phone")):
        take(person, pictures, f"room-{name}")
    _members(ada, pictures, "desktop")
    ada.about("page-bob", "Make moderator")
    expect(bob.log).to_contain_text("page-ada made you a moderator", timeout=PATIENCE_MS)
    _members(bob, pictures, "phone", about="page-carol")
    _unread(ada, bob, pictures)
    for person, name in ((ada, "desktop"), (bob, "phone")):
        person.excused.append(GATE_DOWN)
        person.context.set_offline(True)
        person.told("You are offline.")
        take(person, pictures, f"offline-{name}")
        person.context.set_offline(False)
        expect(person.notice("You are offline.")).to_have_count(0)


def _invitation(ada: Person, bob: Person, pictures: Path) -> None:
    ada.create(TITLE)
    for name in ("page-bob", "page-carol"):
        ada.invite(name)
    bob.told(f"page-ada invites you to {TITLE}.")
    take(bob, pictures, "invited-phone")
    bob.page.get_by_role("button", name="Show", exact=True).click()
    take(bob, pictures, "invitation-phone")
    bob.accept(TITLE)


def _talk(ada: Person, bob: Person) -> None:
    ada.say("The new portculis is hung. Does anybody have the key to the windlass?")
    ada.stored("The new portculis is hung. Does anybody have the key to the windlass?")
    bob.say("I do, somewhere")
    bob.say("Wrong room, sorry")
    for text in ("I do, somewhere", "Wrong room, sorry"):
        ada.sees(text)
    ada.about_message("The new portculis is hung. Does anybody have the key to the windlass?", "Edit")
    fixed = "The new portcullis is hung. Does anybody have the key to the windlass?"
    ada.answers("Edit your text", "Save", New_text=fixed)
    ada.about_message("Wrong room, sorry", "Delete")
    ada.answers("Delete this text of page-bob?", "Delete", Reason="wrong room")
    for person in (ada, bob):
        expect(person.message(fixed)).to_contain_text("edited", timeout=PATIENCE_MS)
        expect(person.log).to_contain_text("page-ada deleted this message: wrong room", timeout=PATIENCE_MS)
    bob.say("Found it under the third stone from the left, where the masons leave their letters.")
    ada.sees("Found it under the third stone from the left, where the masons leave their letters.")


def _members(person: Person, pictures: Path, name: str, about: str = "page-bob") -> None:
    menu = person.members().get_by_role("button", name=f"What to do about {about}")
    menu.click()
    expect(person.page.get_by_role("menu")).to_be_visible()
    take(person, pictures, f"members-{name}")
    person.page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    if name == "desktop":
        menu.click()
        person.page.get_by_role("menuitem", name="Ban from the room").click()
        take(person, pictures, f"ban-{name}")
        person.page.keyboard.press("Escape")
        return
    person.page.keyboard.press("Escape")
    expect(person.page.get_by_role("button", name="Members", exact=True)).to_be_focused()


def _unread(ada: Person, bob: Person, pictures: Path) -> None:
    bob.page.get_by_role("button", name=re.compile("^Rooms")).click()
    bob.enter("Lobby")
    ada.say("Then let us try it at noon")
    ada.stored("Then let us try it at noon")
    bob.page.get_by_role("button", name=re.compile(r"^Rooms, \d+ unread$")).click()
    expect(bob.listed(TITLE)).to_contain_text("1 unread")
    take(bob, pictures, "rooms-phone")
    bob.enter(TITLE)
    ada.enter("Lobby")
    bob.say("Noon it is")
    expect(ada.listed(TITLE)).to_contain_text("1 unread", timeout=PATIENCE_MS)
    take(ada, pictures, "rooms-desktop")
