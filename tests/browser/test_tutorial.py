"""The tutorial's own browser client, unchanged but for its token and its address."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, CDPSession, ConsoleMessage, Page, expect

from tests.browser.conftest import Enter
from tests.stack.running import RunningStack

CODE = (Path(__file__).parent / "tutorial_client.js").read_text("utf-8")


def _run(context: BrowserContext, page: Page, code: str) -> CDPSession:
    """Run a classic script as the page's own: its top-level names stay visible to the next one."""
    console = context.new_cdp_session(page)
    answer = console.send("Runtime.evaluate", {"expression": code})
    assert "exceptionDetails" not in answer, answer
    return console


def test_the_tutorials_browser_client_works(person: Enter, chatter: Enter, stack: RunningStack) -> None:
    """It connects with `?token=`, sees joins as System's messages, posts, hears others, and logs errors as errors."""
    visitor = person("page-tutorial")
    visitor.excused.append(re.compile("^Error: "))  # the client's own console.error, which is asserted below
    page = visitor.page
    code = CODE.replace("your.jwt.token", stack.token("page-tutorial")).replace(
        "ws://localhost:8000", stack.socket_url.removesuffix("/ws/chat")
    )
    with page.expect_console_message(_is("System: User page-tutorial has joined the chat.")):
        console = _run(visitor.context, page, code)
    assert visitor.sockets[-1].startswith("wss://")
    ada = chatter("page-ada")
    with page.expect_console_message(_is("page-tutorial: hello from the tutorial")):
        console.send("Runtime.evaluate", {"expression": "sendMessage('hello from the tutorial')"})
    ada.sees("hello from the tutorial", sender="page-tutorial")
    with page.expect_console_message(_is("page-ada: hello back")):
        ada.say("hello back")
    _errors(page, console)
    expect(ada.message("hello from the tutorial")).to_have_count(1)


def _errors(page: Page, console: CDPSession) -> None:
    """Blank, too long and too fast each arrive as `error`, and the client's own console.error prints them."""
    for message, error in (("''", "cannot be empty"), ("'x'.repeat(501)", "too long (max 500 characters)")):
        with page.expect_console_message(_is_error(error)):
            console.send("Runtime.evaluate", {"expression": f"sendMessage({message})"})
    with page.expect_console_message(_is_error("Rate limit exceeded")):
        console.send("Runtime.evaluate", {"expression": "for (let n = 0; n < 12; n += 1) sendMessage('n' + n)"})


def _is(text: str) -> Callable[[ConsoleMessage], bool]:
    return lambda message: message.text == text


def _is_error(part: str) -> Callable[[ConsoleMessage], bool]:
    def check(message: ConsoleMessage) -> bool:
        return message.type == "error" and message.text.startswith("Error: ") and part in message.text

    return check
