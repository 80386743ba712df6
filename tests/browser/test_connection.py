"""Losing the connection: what is kept, what is said, and what comes back by itself."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import Enter
from tests.browser.person import GATE_DOWN, PATIENCE_MS, Person
from tests.stack.running import RunningStack

BACK_MS = 4 * PATIENCE_MS
"""The supervisor restarts what died within seconds; the page's own back-off comes on top."""

KEEP_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    sockets.push(this);
  }
};
"""

STATES = """
window.statesSeen = []; // the first time of each state, in milliseconds
new MutationObserver(() => {
  const state = document.getElementById('state')?.dataset.state;
  if (state && !statesSeen.some(([seen]) => seen === state)) statesSeen.push([state, performance.now()]);
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-state'] });
"""


def _workers(master: int) -> list[int]:
    children = Path(f"/proc/{master}/task/{master}/children").read_text("ascii")
    return [int(word) for word in children.split()]


def _back(person: Person) -> None:
    expect(person.page.get_by_role("status").filter(has_text="Connected")).to_be_visible(timeout=BACK_MS)


def test_a_killed_server_costs_neither_draft_nor_message(chatter: Enter, stack: RunningStack) -> None:
    """kill -9 of gunicorn with a post on its way: the draft stays and the post is stored once."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    for someone in (ada, bob):
        someone.excused.append(GATE_DOWN)
    ada.say("acked before")
    ada.stored("acked before")
    master = stack.pid("app")
    doomed = [master, *_workers(master)]
    for pid in doomed[1:]:
        os.kill(pid, signal.SIGSTOP)  # takes the post from the socket's point of view, and never answers
    ada.say("on its way")
    expect(ada.message("on its way")).to_contain_text("Sending")
    ada.box.fill("and a draft")
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    ada.told(re.compile("Reconnecting"))
    _back(ada)
    expect(ada.message("on its way")).to_contain_text("Sent", timeout=BACK_MS)
    expect(ada.message("acked before")).to_contain_text("Sent")
    expect(ada.box).to_have_value("and a draft")
    _back(bob)
    ada.send.click()
    bob.sees("and a draft", sender="page-ada")
    for text in ("acked before", "on its way", "and a draft"):
        expect(ada.message(text)).to_have_count(1)


def test_a_restart_is_announced_and_survived(chatter: Enter, stack: RunningStack) -> None:
    """SIGTERM: the page says that the server restarts, waits as long as it was told to, and is back by itself."""
    ada = chatter("page-ada")
    ada.excused.append(GATE_DOWN)
    ada.box.fill("over the restart")
    os.kill(stack.pid("app"), signal.SIGTERM)
    ada.told(re.compile("about to restart|is restarting"))
    expect(ada.page.get_by_role("status").filter(has_text="Reconnecting")).to_be_visible(timeout=BACK_MS)
    _back(ada)
    ada.send.click()
    ada.stored("over the restart")


def test_a_lost_ack_does_not_post_twice(chatter: Enter) -> None:
    """The server stored the post and its ack was lost with the connection: the page asks again with the same id."""
    ada, bob = chatter("page-ada"), chatter("page-bob")
    sent: list[str] = []

    def lose_the_first_ack(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def to_server(text: str | bytes) -> None:
            if '"post"' in str(text):
                sent.append(json.loads(text)["id"])
            server.send(text)

        def to_page(text: str | bytes) -> None:
            frame = json.loads(text)
            of_post = frame["type"] == "message" or (frame["type"] == "ack" and "offset" in frame)
            if of_post and len(sent) == 1:
                if frame["type"] == "ack":
                    route.close(code=4000, reason="slow_consumer")
                return
            route.send(text)

        route.on_message(to_server)
        server.on_message(to_page)

    ada.page.route_web_socket("**/ws/chat", lose_the_first_ack)
    ada.page.reload()
    ada.connected()
    ada.say("once and only once")
    bob.sees("once and only once", sender="page-ada")
    ada.stored("once and only once")
    assert len(sent) == 2
    assert sent[0] == sent[1]
    bob.say("and after it")
    ada.sees("and after it")
    for someone in (ada, bob):
        expect(someone.message("once and only once")).to_have_count(1)


def test_who_is_thrown_out_for_flooding_is_told_until_when(person: Enter) -> None:
    """4500 is not answered with a reconnect: the page explains, counts the cool-down, and keeps the draft."""
    mallory = person("page-mallory")
    mallory.page.add_init_script(KEEP_SOCKETS)
    mallory.page.reload()
    mallory.sign_in().connected()
    mallory.box.fill("kept")
    mallory.page.evaluate(
        """() => {
          for (let n = 0; n < 60; n += 1) {
            sockets.at(-1).send(JSON.stringify({ type: 'post', room: 'lobby', message: `n${n}`, id: `n${n}` }));
          }
        }"""
    )
    mallory.told(re.compile(r"You were disconnected for flooding.*You can come back in \d+ s\."))
    expect(mallory.page.get_by_role("status").filter(has_text="Disconnected")).to_be_visible()
    expect(mallory.page.get_by_role("button", name="Reconnect")).to_have_count(0)
    mallory.page.reload()
    mallory.told(re.compile(r"the gate is closed for you for a while\. Reconnecting in \d+ s\."))
    expect(mallory.page.get_by_role("button", name="Try now")).to_have_count(0)
    expect(mallory.box).to_have_value("kept")


def test_too_many_chats_are_explained(chatter: Enter) -> None:
    """A sixth chat of one person is refused with a sentence, and gets in when another one is closed."""
    windows = [chatter("page-kim") for _ in range(5)]
    sixth = windows[0].context.new_page()
    sixth.goto(windows[0].url)
    notice = sixth.locator(".notice-text").filter(has_text="You have too many chats open.")
    expect(notice).to_be_visible()
    windows[4].page.close()
    again = sixth.get_by_role("button", name="Try now")
    connected = sixth.get_by_role("status").filter(has_text="Connected")
    again.or_(connected).first.wait_for()
    # In one step, since the page tries by itself too: the button may go between being seen and being clicked.
    again.evaluate_all("buttons => buttons.forEach((button) => button.click())")
    expect(connected).to_be_visible(timeout=PATIENCE_MS)


def test_offline_is_said(chatter: Enter) -> None:
    """The page knows when the machine has no network, says so in words and beside the dot, and stops saying so."""
    ada = chatter("page-ada")
    ada.excused.append(GATE_DOWN)
    ada.context.set_offline(True)
    ada.told("You are offline.")
    expect(ada.page.locator("#state")).to_have_text("Offline")
    ada.context.set_offline(False)
    expect(ada.notice("You are offline.")).to_have_count(0)
    ada.connected()
    _back(ada)


def test_a_silent_server_is_noticed_within_ten_seconds(chatter: Enter) -> None:
    """Nothing arrives any more though the connection looks open: the page asks, waits, and connects anew."""
    ada = chatter("page-ada")
    silent = [True]

    def swallow(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        if silent.pop(0) if silent else False:
            joined: list[bool] = []

            def up_to_the_join(text: str | bytes) -> None:
                if not joined:
                    route.send(text)
                if json.loads(text)["type"] == "joined":
                    joined.append(True)

            server.on_message(up_to_the_join)

    ada.page.add_init_script(STATES)
    ada.page.route_web_socket("**/ws/chat", swallow)
    ada.page.reload()
    ada.connected()
    ada.until("statesSeen.some(([state]) => state === 'waiting')")
    since = dict(ada.page.evaluate("statesSeen"))
    assert since["waiting"] - since["joined"] < 10_000
    ada.connected()
