"""Rooms on the page: who gets in, what they see, and what happens to who is not wanted any more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.person import PATIENCE_MS, Person
from tests.patience import until
from tests.stack.running import RunningStack

FOCUSED = """
() => {
  const at = document.activeElement;
  return [at.ariaLabel, at.labels?.[0]?.textContent, at.textContent].map((one) => one?.trim()).find(Boolean);
}
"""
"""What the focused control is called."""

LATE_WORD = """
async () => {
  const { Typing } = await import('/web/typing.js');
  const place = document.createElement('p');
  const typing = new Typing(place, { say() {} });
  const seen = [];
  const said = (step) => {
    step();
    seen.push(place.textContent);
  };
  typing.open('den');
  said(() => typing.heard(['bob']));
  said(() => typing.stopped('den', 'bob'));
  said(() => typing.heard(['bob', 'carol']));
  typing.stopped('lobby', 'bob');
  typing.open('lobby');
  said(() => typing.heard(['bob']));
  said(() => typing.heard(['carol']));
  return seen;
}
"""
"""What the line says after each word of who writes."""

Api = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def api(stack: RunningStack) -> Iterator[Api]:
    """Asks over HTTP for a user by name, for what would take people too long: a verb, or without a body a question."""
    tokens: dict[str, str] = {}
    with httpx.Client(base_url=stack.url, verify=stack.tls) as client:

        def carry_out(name: str, path: str, **body: Any) -> dict[str, Any]:
            if name not in tokens:
                tokens[name] = stack.token(name)
            method = "POST" if body or path.endswith("/join") else "GET"
            headers = {"authorization": f"Bearer {tokens[name]}"}
            answer = client.request(method, path, json=body if method == "POST" else None, headers=headers)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            return found

        yield carry_out


@pytest.fixture(scope="module")
def wide(stack: RunningStack, accounts: Callable[..., str]) -> tuple[str, ...]:
    """Accounts that post in turn, since one may post only five times at once."""
    names = tuple(f"page-many-{number}" for number in range(8))
    for name in ("page-ada", *names):
        accounts(name)
    return names


def _meet(owner: Person, guest: Person, title: str) -> None:
    """A private room of two."""
    owner.create(title)
    owner.invite(guest.name)
    _comes(owner, guest, title)


def _comes(owner: Person, guest: Person, title: str) -> None:
    """Takes up an invitation; the owner's page knows of it before anything is chosen from a menu that depends on it."""
    guest.accept(title)
    row = owner.members().locator(f'[data-user="{guest.name}"]')
    expect(row).to_contain_text("here now", timeout=PATIENCE_MS)


def test_a_private_room_is_for_who_was_invited(chatter: Enter) -> None:
    """One creates it and invites, the other is told, accepts and talks; who was not invited sees nothing of it."""
    ada, bob, carol = chatter("page-ada"), chatter("page-bob"), chatter("page-carol")
    ada.create("The keep")
    ada.invite("page-bob")
    bob.told("page-ada invites you to The keep.")
    bob.accept("The keep")
    expect(bob.log).to_contain_text("page-ada invited you")
    bob.say("I am in")
    ada.sees("I am in", sender="page-bob")
    ada.say("welcome")
    bob.sees("welcome", sender="page-ada")
    expect(carol.listed("The keep")).to_have_count(0)
    carol.page.get_by_role("button", name="Public rooms").click()
    dialog = carol.page.get_by_role("dialog", name="Public rooms")
    expect(dialog.get_by_role("status")).to_have_text(re.compile("Everybody|There is no"))
    expect(dialog).not_to_contain_text("The keep")


def test_an_invitation_can_be_declined(chatter: Enter) -> None:
    """It goes away, and the room is told."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    ada.create("Not for bob")
    ada.invite("page-bob")
    bob.page.get_by_role("button", name="Decline the invitation to Not for bob").click()
    expect(ada.log).to_contain_text("page-bob declined the invitation", timeout=PATIENCE_MS)
    expect(bob.page.get_by_role("heading", name="Invitations")).to_have_count(0)


def test_an_invitation_can_be_withdrawn(chatter: Enter) -> None:
    """It goes away for both, who withdrew it is told so, and the focus stays in the panel; it can be made again."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    ada.create("Perhaps later")
    ada.invite("page-bob")
    offered = bob.page.get_by_role("button", name="Accept the invitation to Perhaps later")
    expect(offered).to_be_visible(timeout=PATIENCE_MS)
    row = ada.members().locator('[data-user="page-bob"]')
    ada.about("page-bob", "Withdraw invitation")
    ada.told("The invitation of page-bob is withdrawn.")
    expect(row).to_have_count(0, timeout=PATIENCE_MS)
    expect(ada.page.get_by_role("heading", name="Members")).to_be_focused()
    expect(offered).to_have_count(0, timeout=PATIENCE_MS)
    ada.invite("page-bob")
    bob.accept("Perhaps later")


def test_who_is_removed_sees_why_and_gets_nothing_more(chatter: Enter) -> None:
    """The reason stands on the page, nothing can be written, and what is said afterwards does not arrive."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    frames: list[str] = []
    bob.page.on("websocket", lambda socket: socket.on("framereceived", lambda text: frames.append(str(text))))
    bob.page.reload()
    bob.connected()
    _meet(ada, bob, "The gatehouse")
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
    banned = dialog.get_by_role("button", name="Join The square")
    if banned.count():
        banned.click()
        expect(dialog.locator(".notice-text")).to_contain_text("banned")
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
    _meet(ada, bob, "The quiet room")
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
    _meet(ada, bob, "The foyer")
    ada.invite("page-carol")
    asked = ada.members().get_by_role("button", name="What to do about page-bob")
    asked.hover()
    ada.page.mouse.down()
    carol.accept("The foyer")
    expect(ada.members().get_by_role("heading", name="Here now · 3")).to_be_visible(timeout=PATIENCE_MS)
    ada.page.mouse.up()
    expect(ada.page.get_by_role("menuitem", name="Mute")).to_be_visible()
    bob.page.close()
    expect(ada.members().get_by_role("heading", name="Away · 1")).to_be_visible(timeout=PATIENCE_MS)
    ada.page.keyboard.press("Escape")
    expect(asked).to_be_focused()


def test_only_who_may_is_offered_to_act(chatter: Enter) -> None:
    """A member's menus are empty, a moderator's have what moderators may do, and the server's refusal is a sentence."""
    ada, bob, carol = chatter("page-ada"), chatter("page-bob"), chatter("page-carol")
    _meet(ada, bob, "The council")
    ada.invite("page-carol")
    _comes(ada, carol, "The council")
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


def test_an_edit_and_a_deletion_are_seen_by_everybody(chatter: Enter) -> None:
    """The new text carries a mark, the deleted one leaves a tombstone, at once and after a reload."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    _meet(ada, bob, "The archive")
    ada.say("wlecome")
    ada.stored("wlecome")
    bob.say("something regrettable")
    ada.sees("something regrettable")
    ada.about_message("wlecome", "Edit")
    ada.answers("Edit your text", "Save", New_text="welcome")
    ada.about_message("something regrettable", "Delete")
    ada.answers("Delete this text of page-bob?", "Delete", Reason="off topic")
    for someone in (ada, bob):
        expect(someone.message("welcome")).to_contain_text("edited", timeout=PATIENCE_MS)
        expect(someone.log).to_contain_text("page-ada deleted this message: off topic", timeout=PATIENCE_MS)
        expect(someone.log).not_to_contain_text("something regrettable")
    bob.page.reload()
    bob.connected()
    expect(bob.message("welcome")).to_contain_text("edited", timeout=PATIENCE_MS)
    expect(bob.log.locator(".gone")).to_have_count(1)
    bob.say("kept")
    bob.stored("kept")
    bob.about_message("kept", "Delete")
    bob.answers("Delete this text of yours?", "Delete")
    expect(bob.message("You deleted this message")).to_have_count(1, timeout=PATIENCE_MS)
    expect(ada.log).to_contain_text("This message was deleted", timeout=PATIENCE_MS)


def test_what_is_unread_is_counted_until_it_is_looked_at(chatter: Enter, api: Api) -> None:
    """News of another room are counted beside it and in the title, over a reload, and looking clears the count."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    _meet(ada, bob, "The watch")
    ada.enter("Lobby")
    for text in ("one", "two", "three"):
        bob.say(text)
        bob.stored(text)
    expect(ada.listed("The watch")).to_contain_text("3 unread", timeout=PATIENCE_MS)
    ada.until("/^\\(\\d+\\) Lobby/.test(document.title)")
    ada.page.reload()
    ada.connected()
    expect(ada.listed("The watch")).to_contain_text("3 unread", timeout=PATIENCE_MS)
    ada.enter("The watch")
    ada.sees("three")
    expect(ada.listed("The watch")).not_to_contain_text("unread")
    ada.enter("Lobby")
    expect(ada.listed("The watch")).not_to_contain_text("unread")

    def stored() -> bool:
        rooms = api("page-ada", "/api/rooms")["rooms"]
        return [row["unread"] for row in rooms if row["title"] == "The watch"] == [0]

    until(stored, "the mark is stored")
    ada.page.reload()
    ada.connected()
    expect(ada.listed("The watch")).to_be_visible(timeout=PATIENCE_MS)
    expect(ada.listed("The watch")).not_to_contain_text("unread")


def test_history_comes_by_scrolling(chatter: Enter, api: Api, wide: tuple[str, ...]) -> None:
    """Above the newest 50 events the older ones follow, in order and once, up to the beginning; the place is kept."""
    room = api(wide[0], "/api/rooms", title="The long hall", public=True)["room"]
    for name in ("page-ada", *wide[1:]):
        api(name, f"/api/rooms/{room}/join")
    texts = [f"line {number}" for number in range(35)]
    for number, text in enumerate(texts):
        api(wide[number % len(wide)], f"/api/rooms/{room}/post", message=text)
        if number < 18:
            api(wide[0], f"/api/rooms/{room}/rename", title=f"The hall of {number}")
    ada = chatter("page-ada", viewport={"width": 900, "height": 600})
    ada.enter("The hall of 17")
    ada.sees("line 34")
    assert ada.message("line 0").count() == 0
    _scroll_up(ada)
    expect(ada.log).to_contain_text("This is the beginning of The hall of 17.", timeout=PATIENCE_MS)
    assert [text for text in ada.log.locator(".text").all_inner_texts() if text.startswith("line")] == texts
    # Who has posted four times until now.
    api(wide[-1], f"/api/rooms/{room}/post", message="down here")
    newest = ada.page.get_by_role("button", name="1 new message")
    newest.click()
    expect(ada.message("down here")).to_be_in_viewport()


def _scroll_up(person: Person) -> None:
    """Scroll as far as it goes, again and again; what was at the top stays there while a page comes in above it."""
    ends = "[...document.querySelectorAll('#top-text')].some((one) => /beginning|removed/.test(one.textContent))"
    for _ in range(40):
        if person.page.evaluate(ends):
            return
        moved = person.page.evaluate(
            """async () => {
              const log = document.getElementById('log');
              log.scrollTop = 100;
              const edge = log.getBoundingClientRect().top;
              const first = [...log.querySelectorAll('li')].find((item) => item.getBoundingClientRect().bottom > edge);
              const before = first.getBoundingClientRect().top;
              const count = log.querySelectorAll('li').length;
              const ends = performance.now() + 5000;
              while (log.querySelectorAll('li').length === count && performance.now() < ends) {
                await new Promise((later) => setTimeout(later, 20));
              }
              return Math.abs(first.getBoundingClientRect().top - before);
            }"""
        )
        assert moved <= 1, "the reader's place was lost"
    raise AssertionError("the beginning was never reached")


def test_a_room_is_renamed_slowed_archived_and_left(chatter: Enter) -> None:
    """The owner's menu does it, everybody sees it, and an archived room can be read and not written to."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    _meet(ada, bob, "The old name")
    _room_menu(ada, "Rename")
    ada.answers("Rename the room", "Rename", Title="The new name")
    bob.reads("The new name")
    _room_menu(ada, "Settings")
    ada.answers("Room settings", "Save", Slow_mode="30")
    expect(bob.page.locator("#room-hint")).to_contain_text("One message in 30 s.", timeout=PATIENCE_MS)
    bob.say("soon enough")
    bob.stored("soon enough")
    bob.say("too soon")
    bob.told(re.compile(r"You are sending too fast \(slow mode of this room\)\. You can send again in \d+ s\."))
    bob.box.fill("")
    _room_menu(ada, "Archive")
    ada.answers("Archive The new name?", "Archive")
    bob.told("This room is archived: it can be read, not written to.")
    expect(bob.box).not_to_be_editable()
    _room_menu(bob, "Leave")
    bob.answers("Leave The new name?", "Leave")
    bob.reads("Lobby")
    expect(bob.listed("The new name")).to_have_count(0)
    _room_menu(ada, "Leave")
    dialog = ada.page.get_by_role("dialog", name="Leave The new name?")
    dialog.get_by_role("button", name="Leave", exact=True).click()
    expect(dialog.locator(".notice-text")).to_contain_text("The room needs an owner")


def _room_menu(person: Person, choice: str) -> None:
    person.page.get_by_role("button", name="About this room").click()
    person.page.get_by_role("menuitem", name=choice).click()


def test_who_is_writing_is_shown(chatter: Enter) -> None:
    """The others see that somebody writes, until the message is there."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    _meet(ada, bob, "The scriptorium")
    bob.box.press_sequentially("a thought")
    typing = ada.page.locator("#typing")
    expect(typing).to_have_text("page-bob is writing", timeout=PATIENCE_MS)
    bob.box.press("Enter")
    ada.sees("a thought")
    expect(typing).to_have_text("")


def test_who_has_posted_is_not_shown_as_writing(chatter: Enter) -> None:
    """A word of their writing that comes after their message is stale, also in a room that is opened in between."""
    ada = chatter("page-ada")
    assert ada.page.evaluate(LATE_WORD) == ["bob is writing", "", "carol is writing", "", "carol is writing"]


def test_the_whole_way_with_the_keyboard_alone(chatter: Enter) -> None:
    """Create a room, invite somebody, edit a message and remove a member: no mouse, and the focus is never lost."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    keys = ada.page.keyboard
    expect(ada.box).to_be_focused()
    _tab_to(ada, "Create a room", "Shift+Tab")
    keys.press("Enter")
    keys.type("By key")
    keys.press("Enter")
    ada.reads("By key")
    expect(ada.box).to_be_focused()
    keys.type("typo")
    keys.press("Enter")
    ada.stored("typo")
    _tab_to(ada, "Messages in By key", "Shift+Tab")
    keys.press("ArrowUp")
    keys.press("Enter")
    expect(ada.page.get_by_role("menuitem", name="Edit")).to_be_focused()
    keys.press("Enter")
    expect(ada.page.get_by_label("New text")).to_be_focused()
    keys.press("Control+A")
    keys.type("corrected")
    keys.press("Enter")
    expect(ada.message("corrected")).to_contain_text("edited", timeout=PATIENCE_MS)
    _tab_to(ada, "Members", "Shift+Tab")
    keys.press("Enter")
    _tab_to(ada, "Invite somebody")
    keys.type("page-bob")
    keys.press("Enter")
    ada.told("page-bob is invited.")
    bob.accept("By key")
    expect(ada.members().get_by_role("heading", name="Here now · 2")).to_be_visible(timeout=PATIENCE_MS)
    _tab_to(ada, "What to do about page-bob")
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


def _tab_to(person: Person, name: str, key: str = "Tab") -> None:
    """Press a key until the control with this name has the focus."""
    for _ in range(30):
        person.page.keyboard.press(key)
        if person.page.evaluate(FOCUSED) == name:
            return
    raise AssertionError(f"{name} cannot be reached with the {key} key")
