"""What a client saw, told to Locust (its page, statistics and CSV) and to the tally (the verdict) at once."""

from __future__ import annotations

import time
from typing import Any

from locust.env import Environment

from loadtest.tally import ACCEPTED, REFUSED, Tally, series


class Refused(Exception):  # noqa: N818 - what Locust lists as a failure; the message is the reason
    """A handshake, sign-in or post that was not accepted."""


class Counting:
    """One per Locust user; the tally is shared by all of a process."""

    def __init__(self, environment: Environment, tally: Tally) -> None:
        self._environment = environment
        self.tally = tally

    def count(self, name: str, label: str, value: object, number: int = 1) -> None:
        """The server should have counted this, too."""
        self.tally.seen[series(name, label, value)] += number

    def took(self, name: str, seconds: float, size: int = 0) -> None:
        """Something went well."""
        self.tally.delay(name, time.monotonic(), seconds)
        self._fire(name, seconds, size, None)

    def failed(self, name: str, why: str, seconds: float) -> None:
        """Something was refused: Locust lists it by its reason."""
        self._fire(name, seconds, 0, Refused(why))

    def trouble(self, what: str) -> None:
        """Something that no counter of the server explains."""
        self.tally.trouble[what] += 1
        self.failed("trouble", what, 0.0)

    def fact(self, what: str, number: int = 1) -> None:
        """Something that a scenario counts for itself."""
        self.tally.facts[what] += number

    def accepted(self, seconds: float) -> None:
        """A handshake succeeded."""
        self.tally.seen[ACCEPTED] += 1
        self.took("handshake", seconds)

    def refused(self, reason: str, seconds: float) -> None:
        """A handshake was refused by the app, or by the edge before the app saw it."""
        if reason.startswith("edge_"):
            self.count("edge_rejected_total", "reason", reason)
        else:
            self.tally.seen[REFUSED] += 1
            self.count("chat_handshakes_rejected_total", "reason", reason)
        self.failed("handshake", reason, seconds)

    def posted(self, outcome: str) -> None:
        """A post was answered."""
        self.count("chat_messages_total", "outcome", outcome)

    def denied(self, code: str, seconds: float) -> None:
        """A post was answered with an error that is no throttle and that no bad frame explains."""
        self.posted("busy" if code == "busy" else "refused")
        self.failed("post", code, seconds)

    def throttled(self, limit: str, seconds: float, *, post: bool) -> None:
        """A frame was refused by a limit."""
        self.count("chat_messages_throttled_total", "limit", limit)
        if post:
            self.posted("throttled")
        self.failed("throttle", limit, seconds)

    def invalid(self, reason: str) -> None:
        """A frame meant nothing."""
        self.count("chat_messages_invalid_total", "reason", reason)
        self.posted("invalid")
        self.failed("frame", f"invalid: {reason}", 0.0)

    def signed_in(self, outcome: str, seconds: float) -> None:
        """A sign-in was answered."""
        self.count("chat_sign_ins_total", "outcome", outcome)
        if outcome == "accepted":
            self.took("sign-in", seconds)
        else:
            self.failed("sign-in", outcome, seconds)

    def closed(self, code: int) -> None:
        """A connection is over."""
        self.count("chat_closes_total", "code", code)
        if code != 1000:
            self.failed("connection", f"closed with {code}", 0.0)

    def _fire(self, name: str, seconds: float, size: int, exception: Exception | None) -> None:
        facts: dict[str, Any] = {"request_type": "WSS", "name": name, "response_length": size, "context": {}}
        self._environment.events.request.fire(**facts, response_time=seconds * 1000.0, exception=exception)
