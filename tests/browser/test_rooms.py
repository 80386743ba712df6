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
from tests.stack.running import RunningStack, apart

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
                tokens[name] = apart(stack.mint(name))
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


def test_an_edit_and_a_deletion_are_seen_by_everybody(chatter: Enter) -> None:
    """The new text carries a mark, the deleted one leaves a tombstone, at once and after a reload."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    ada.meet(bob, "The archive")
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
    ada.meet(bob, "The watch")
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
    ada.meet(bob, "The old name")
    ada.about_room("Rename")
    ada.answers("Rename the room", "Rename", Title="The new name")
    bob.reads("The new name")
    ada.about_room("Settings")
    ada.answers("Room settings", "Save", Slow_mode="30")
    expect(bob.page.locator("#room-hint")).to_contain_text("One message in 30 s.", timeout=PATIENCE_MS)
    bob.say("soon enough")
    bob.stored("soon enough")
    bob.say("too soon")
    bob.told(re.compile(r"You are sending too fast \(slow mode of this room\)\. You can send again in \d+ s\."))
    bob.box.fill("")
    ada.about_room("Archive")
    ada.answers("Archive The new name?", "Archive")
    bob.told("This room is archived: it can be read, not written to.")
    expect(bob.box).not_to_be_editable()
    bob.about_room("Leave")
    bob.answers("Leave The new name?", "Leave")
    bob.reads("Lobby")
    expect(bob.listed("The new name")).to_have_count(0)
    ada.about_room("Leave")
    dialog = ada.page.get_by_role("dialog", name="Leave The new name?")
    dialog.get_by_role("button", name="Leave", exact=True).click()
    expect(dialog.locator(".notice-text")).to_contain_text("The room needs an owner")


def test_who_is_writing_is_shown(chatter: Enter) -> None:
    """The others see that somebody writes, until the message is there."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    ada.meet(bob, "The scriptorium")
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
