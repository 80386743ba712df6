"""Two people in the room, in a browser that really checks the stack's certificate."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Error, Playwright, expect

from tests.browser.chromium import chromium
from tests.browser.conftest import Enter
from tests.browser.person import PATIENCE_MS, Person
from tests.browser.pictures import DESKTOP, PHONE, take
from tests.stack.running import RunningStack

NOTE_NOTICES = """
window.noticesSeen = [];
new MutationObserver(() => {
  for (const notice of document.querySelectorAll('.notice-text')) noticesSeen.push(notice.textContent);
}).observe(document, { subtree: true, childList: true, characterData: true });
"""


def test_without_the_ca_the_browser_refuses(playwright: Playwright, stack: RunningStack, tmp_path: Path) -> None:
    """That the other tests connect proves something: a browser that was not given the CA does not."""
    with chromium(playwright, tmp_path / "home") as stranger:
        page = stranger.new_page()
        try:
            page.goto(stack.url)
        except Error as error:
            assert "ERR_CERT_AUTHORITY_INVALID" in error.message
        else:
            raise AssertionError("an unknown CA was trusted")


def test_two_people_chat_and_who_floods_sees_why_and_for_how_long(person: Enter, pictures: Path) -> None:
    """Sign in over WSS, talk, flood: a notice names the limit and counts down, and the draft stays."""
    ada = person("page-ada", **DESKTOP)
    bob = person("page-bob", **PHONE)
    ada.page.add_init_script(NOTE_NOTICES)
    ada.page.reload()
    take(ada, pictures, "sign-in-desktop")
    take(bob, pictures, "sign-in-phone")
    ada.sign_in().connected()
    bob.sign_in().connected()
    take(ada, pictures, "empty-desktop")
    assert [url.partition("://")[0] for url in ada.sockets] == ["wss"]
    bob.say("Is the gate up?")
    ada.sees("Is the gate up?", sender="page-bob")
    ada.say("It is: two lines,\nsent from a desktop.")
    bob.sees("It is: two lines,\nsent from a desktop.", sender="page-ada")
    _flood(ada)
    take(ada, pictures, "throttled-desktop")
    take(bob, pictures, "chat-phone")
    draft = ada.box.input_value()
    expect(ada.send).to_be_enabled()
    assert draft, "the throttled message is in the message box again"
    ada.send.click()
    bob.sees(draft, sender="page-ada")


def _flood(ada: Person) -> None:
    """Write without pause until the page says stop."""
    for count in range(20):
        ada.say(f"flood {count}")
        if ada.page.evaluate("noticesSeen.some((text) => text.includes('too fast'))"):
            break
    ada.until(
        "noticesSeen.some((text) => "
        r"/^You are sending too fast \(posts per user\)\. You can send again in \d+ s\.$/.test(text))"
    )
    ada.told("You can send again now.")


def test_markup_is_text(chatter: Enter) -> None:
    """What looks like HTML is shown as it was written and does nothing, for its sender and for everybody else."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script><b>&amp;</b>"
    ada.say(attack)
    for someone in (ada, bob):
        someone.sees(attack)
        expect(someone.message(attack).locator("img, script, b")).to_have_count(0)
        assert "owned" not in someone.page.title()


def test_the_page_runs_nothing_but_its_own_modules(chatter: Enter) -> None:
    """The edge's policy refuses inline scripts, inline styles and foreign content; the console says so."""
    ada = chatter("page-ada")
    ada.page.evaluate(
        """() => {
          const script = document.createElement('script');
          script.textContent = "document.title = 'owned'";
          const style = Object.assign(document.createElement('style'), { textContent: 'body { display: none }' });
          const image = Object.assign(new Image(), { src: 'https://images.invalid/x.png' });
          document.body.append(script, style, image);
          document.body.setAttribute('style', 'display: none');
        }"""
    )
    expect(ada.box).to_be_visible()
    assert "owned" not in ada.page.title()
    heard = "\n".join(ada.noise)
    for directive in ("script-src", "style-src", "img-src"):
        assert directive in heard
    ada.noise.clear()


def test_the_counter_counts_what_the_server_counts(chatter: Enter) -> None:
    """The limit is in code points: 500 emoji pass, a 501st character holds the message back before it is sent."""
    ada = chatter("page-ada")
    counter = ada.page.locator("#counter")
    ada.box.fill("🏰" * 501)
    expect(counter).to_have_text("501 / 500")
    expect(ada.send).to_be_disabled()
    expect(ada.box).to_have_attribute("aria-invalid", "true")
    ada.box.press("Enter")
    ada.box.fill("🏰" * 500)
    expect(counter).to_have_text("500 / 500")
    ada.box.press("Enter")
    ada.stored("🏰" * 500)
    expect(ada.box).to_have_value("")


def test_a_refused_message_comes_back_with_its_reason(chatter: Enter) -> None:
    """What only the server refuses returns to the message box, and the notice says why."""
    ada = chatter("page-ada")
    ada.say("a bell\x07")
    ada.told("Message cannot contain control characters")
    expect(ada.box).to_have_value("a bell\x07")
    expect(ada.message("a bell\x07")).to_have_count(0)


def test_the_draft_outlives_a_reload(chatter: Enter) -> None:
    """Half a thought is still there after a reload; nobody else's tab sees it."""
    ada = chatter("page-ada")
    ada.box.fill("half a thought")
    ada.page.reload()
    ada.connected()
    expect(ada.box).to_have_value("half a thought")
    ada.box.fill("")


def test_comings_and_goings_are_shown(person: Enter, chatter: Enter) -> None:
    """The room says who joined, and who left on purpose; a lost connection is given time to come back."""
    ada = chatter("page-ada")
    lena = person("page-lena").sign_in().connected()
    expect(ada.log).to_contain_text("page-lena joined", timeout=PATIENCE_MS)
    lena.page.get_by_role("button", name="Sign out").click()
    expect(ada.log).to_contain_text("page-lena left", timeout=PATIENCE_MS)


def test_a_reader_keeps_the_place(chatter: Enter) -> None:
    """Who has scrolled up is not pulled down by news, is told of it, and gets there with one press."""
    ada, bob = chatter("page-ada", viewport={"width": 900, "height": 420}), chatter("page-carol")
    tall = "\n".join(str(line) for line in range(60))
    bob.say(tall)
    expect(ada.log).to_contain_text("58")
    ada.log.evaluate("log => { log.scrollTop -= 900; }")
    place = ada.message(tall).bounding_box()
    bob.say("down here")
    newest = ada.page.get_by_role("button", name="1 new message")
    expect(newest).to_be_visible()
    assert ada.message(tall).bounding_box() == place
    newest.click()
    expect(newest).to_be_hidden()
    expect(ada.message("down here")).to_be_in_viewport()
