"""The gate for people: every way in which a sign-in can go wrong, and what ends a session."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Enter


def test_a_wrong_password_is_said_and_throttled_with_a_countdown(person: Enter) -> None:
    """Nothing tells whether the name exists; after five tries a minute the form counts down and waits."""
    eve = person("page-eve")
    for _ in range(10):
        eve.sign_in("not the password")
        eve.told(re.compile("Name or password is wrong|Too many sign-ins"))
        if eve.notice("Too many sign-ins").is_visible():
            break
        expect(eve.page.get_by_label("Password", exact=True)).to_be_focused()
    eve.told(re.compile(r"^Too many sign-ins\. You can try again in \d+ s\.$"))
    expect(eve.page.get_by_role("button", name="Sign in")).to_be_disabled()


def test_a_one_time_password_opens_the_choice_of_a_new_one(person: Enter) -> None:
    """The new password is checked before it is sent, and signs in at once."""
    new = person("page-new", account=("--one-time",)).sign_in()
    new.told("This password works only once")
    fresh = new.page.get_by_label("New password", exact=True)
    expect(fresh).to_be_focused()
    fresh.fill("short")
    save = new.page.get_by_role("button", name="Save and sign in")
    save.click()
    new.told("at least 12 characters")
    fresh.fill("four unrelated words here")
    new.page.get_by_label("New password, once more").fill("four unrelated words there")
    save.click()
    new.told("The two new passwords differ")
    new.page.get_by_label("New password, once more").fill("four unrelated words here")
    save.click()
    new.connected()


def test_a_session_that_is_ended_elsewhere_ends_here(person: Enter) -> None:
    """The list shows both sessions; ending the other closes its chat at once and says so there."""
    here, there = person("page-dora").sign_in().connected(), person("page-dora").sign_in().connected()
    here.page.get_by_role("button", name="Sessions").click()
    dialog = here.page.get_by_role("dialog", name="Your sessions")
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    expect(dialog.get_by_role("listitem").filter(has_text="This one")).to_have_count(1)
    dialog.get_by_role("button", name=re.compile("^End ")).click()
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    there.told("Your session was ended. Please sign in again.")
    expect(there.page.get_by_role("heading", name="Sign in")).to_be_visible()
    here.page.keyboard.press("Escape")
    here.connected()


def test_signing_out_ends_the_session_and_forgets_the_draft(person: Enter) -> None:
    """After a sign-out a reload asks to sign in again, and the next person finds no draft."""
    fay = person("page-fay").sign_in().connected()
    fay.box.fill("not for others")
    fay.page.get_by_role("button", name="Sign out").click()
    fay.told("You are signed out.")
    assert fay.context.cookies() == []
    assert "not for others" not in str(fay.page.evaluate("({...sessionStorage, ...localStorage})"))
    fay.page.reload()
    expect(fay.page.get_by_label("Name")).to_be_focused()
