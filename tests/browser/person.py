"""One person at one browser window, saying and seeing things the way people do."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, expect

from tests.patience import PATIENCE

PATIENCE_MS = PATIENCE * 1000
"""How long a person waits for anything: generous, because two cores may be shared with other work."""

REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (401|403|422|429|50\d)")
"""Chromium reports every refused request; that one is refused on purpose is no fault of the page."""

GATE_DOWN = re.compile(r"WebSocket connection to 'wss://[^']+' failed|net::ERR_|status of 50\d")
"""What Chromium reports besides while the server is gone."""

FOCUSED = """
() => {
  const at = document.activeElement;
  return [at.ariaLabel, at.labels?.[0]?.textContent, at.textContent].map((one) => one?.trim()).find(Boolean);
}
"""
"""What the focused control is called."""


class Person:
    """A page in a context of its own. `noise` collects what the page complains about: errors and refused content."""

    def __init__(self, context: BrowserContext, url: str, name: str, password: str) -> None:
        self.context = context
        self.url = url
        self.name = name
        self.password = password
        self.noise: list[str] = []
        self.excused: list[re.Pattern[str]] = [REFUSED]
        self.sockets: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("websocket", lambda socket: self.sockets.append(socket.url))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(known.search(message.text) for known in self.excused):
            self.noise.append(f"{message.type}: {message.text}")

    def open(self) -> Person:
        """Open the page; with a session kept in the context that is the chat, else the sign-in."""
        self.page.goto(self.url)
        return self

    def sign_in(self, password: str | None = None) -> Person:
        """Fill in the form and send it, whatever comes of it."""
        self.page.get_by_label("Name").fill(self.name)
        self.page.get_by_label("Password", exact=True).fill(password or self.password)
        self.page.get_by_role("button", name="Sign in").click()
        return self

    def requests(self, path: str) -> list[int]:
        """The statuses with which requests for this path are answered from now on; the list grows by itself."""
        statuses: list[int] = []
        self.page.on("response", lambda answer: statuses.append(answer.status) if path in answer.url else None)
        return statuses

    def connected(self) -> Person:
        """Wait until the room is live."""
        expect(self.page.get_by_role("status").filter(has_text="Connected")).to_be_visible(timeout=PATIENCE_MS)
        return self

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def send(self) -> Locator:
        return self.page.locator("#send")

    @property
    def log(self) -> Locator:
        return self.page.get_by_role("log")

    def say(self, text: str) -> None:
        """Write a message and press Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def message(self, text: str) -> Locator:
        """The message with exactly this text."""
        return self.log.get_by_role("listitem").filter(has=self.page.get_by_text(text, exact=True))

    def sees(self, text: str, sender: str | None = None) -> None:
        """Wait until the message is there once; of this sender, where one is named."""
        expect(self.message(text)).to_have_count(1, timeout=PATIENCE_MS)
        if sender:
            expect(self.message(text)).to_contain_text(sender)

    def stored(self, text: str) -> None:
        """Wait until an own message is acknowledged."""
        expect(self.message(text)).to_contain_text("Sent", timeout=PATIENCE_MS)

    def notice(self, text: str | re.Pattern[str]) -> Locator:
        """The notice that is on the screen and says this."""
        return self.page.locator(".notice-text").filter(has_text=text)

    def told(self, text: str | re.Pattern[str]) -> None:
        """Wait for a notice."""
        expect(self.notice(text)).to_be_visible(timeout=PATIENCE_MS)

    def create(self, title: str, *, public: bool = False) -> None:
        """Make a room and be in it."""
        self.page.get_by_role("button", name="Create a room").click()
        dialog = self.page.get_by_role("dialog", name="Create a room")
        dialog.get_by_label("Title").fill(title)
        dialog.get_by_label("Public").set_checked(public)
        dialog.get_by_role("button", name="Create", exact=True).click()
        self.reads(title)

    def reads(self, title: str) -> None:
        """Wait until the room is on the screen."""
        expect(self.page.get_by_role("heading", name=title, level=1)).to_be_visible(timeout=PATIENCE_MS)

    def listed(self, title: str) -> Locator:
        """The room in the list of rooms."""
        return self.page.locator("#rooms-list").get_by_role("button", name=title)

    def enter(self, title: str) -> None:
        """Go to a room of the list."""
        self.listed(title).click()
        self.reads(title)

    def members(self) -> Locator:
        """The panel of members, opened if need be."""
        panel = self.page.get_by_role("complementary", name="Members")
        if not panel.is_visible():
            self.page.get_by_role("button", name="Members", exact=True).click()
        return panel

    def invite(self, name: str) -> None:
        """Invite somebody into the room on the screen."""
        panel = self.members()
        panel.get_by_label("Invite somebody").fill(name)
        panel.get_by_role("button", name="Invite", exact=True).click()
        self.told(f"{name} is invited.")

    def accept(self, title: str) -> None:
        """Take up an invitation."""
        self.page.get_by_role("button", name=f"Accept the invitation to {title}").click()
        self.reads(title)
        self.connected()

    def meet(self, guest: Person, title: str) -> None:
        """Make a private room and have somebody in it."""
        self.create(title)
        self.invite(guest.name)
        self.receives(guest, title)

    def receives(self, guest: Person, title: str) -> None:
        """Somebody takes up the invitation; this page knows of it before anything depends on it."""
        guest.accept(title)
        row = self.members().locator(f'[data-user="{guest.name}"]')
        expect(row).to_contain_text("here now", timeout=PATIENCE_MS)

    def tab_to(self, name: str, key: str = "Tab") -> None:
        """Press a key until the control with this name has the focus, as someone without a mouse does."""
        for _ in range(30):
            self.page.keyboard.press(key)
            if self.page.evaluate(FOCUSED) == name:
                return
        raise AssertionError(f"{name} cannot be reached with the {key} key")

    def about(self, name: str, choice: str) -> None:
        """Choose from the menu of a member."""
        self.members().get_by_role("button", name=f"What to do about {name}").click()
        self.page.get_by_role("menuitem", name=choice).click()

    def about_room(self, choice: str) -> None:
        """Choose from the menu of the room on the screen."""
        self.page.get_by_role("button", name="About this room").click()
        self.page.get_by_role("menuitem", name=choice).click()

    def about_message(self, text: str, choice: str) -> None:
        """Choose from the menu of a message."""
        self.message(text).hover()
        self.message(text).get_by_role("button", name="What to do with this message").click()
        self.page.get_by_role("menuitem", name=choice).click()

    def answers(self, title: str, submit: str, **fields: str) -> None:
        """Fill in a dialog and send it."""
        dialog = self.page.get_by_role("dialog", name=title)
        for label, value in fields.items():
            box = dialog.get_by_label(label.replace("_", " "))
            if box.evaluate("box => box.tagName") == "SELECT":
                box.select_option(label=value)
            else:
                box.fill(value)
        dialog.get_by_role("button", name=submit, exact=True).click()
        expect(dialog).to_have_count(0, timeout=PATIENCE_MS)

    def until(self, condition: str) -> None:
        """Wait in the page for a JavaScript condition. Playwright's own wait needs eval, which the policy refuses."""
        self.page.evaluate(
            f"""() => new Promise((resolve, reject) => {{
              const ends = performance.now() + {PATIENCE_MS};
              const look = () => {{
                if ({condition}) resolve();
                else if (performance.now() > ends) reject(new Error('not in time'));
                else setTimeout(look, 20);
              }};
              look();
            }})"""
        )
