"""One WebSocket of a Locust user."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent.event import AsyncResult, Event
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from loadtest.counting import Counting
from loadtest.party import Party
from loadtest.tally import Window
from loadtest.wire import Wire

PATIENCE: Final = 10.0
"""Seconds that an answer may take before it counts as missing."""
CHAT: Final = ("chat.v1",)
WIDE_BYTES: Final = 1 << 20
OURS: Final = f"load-{os.getpid()} "
"""What our own messages begin with: only their times are by this process's clock."""
_CUT_OFF: Final = 1006
_ids = itertools.count(1)


@dataclass(frozen=True)
class Refusal:
    """A refused handshake."""

    status: int
    reason: str
    retry_after: float


@dataclass
class Asked:
    """A verb without an answer yet."""

    kind: str
    sent: float
    window: Window | None
    answer: AsyncResult


def dial(
    party: Party,
    counting: Counting,
    address: str,
    token: str | None,
    *,
    query: str = "",
    subprotocols: Sequence[str] = CHAT,
    headers: Mapping[str, str] | None = None,
    narrow: bool = False,
) -> Line | Refusal | None:
    """One handshake, counted; None when there was no answer at all, which is trouble."""
    sent = time.monotonic()
    fields = {**({} if token is None else {"Authorization": f"Bearer {token}"}), **(headers or {})}
    try:
        plain = party.target.reach(address, narrow=narrow)
        url = party.target.socket_url + query
        opened = Wire.open(url, plain, party.tls, fields, subprotocols, PATIENCE, narrow=narrow)
    except InvalidStatus as refused:
        return _refusal(counting, refused, time.monotonic() - sent)
    except (OSError, EOFError, InvalidHandshake) as error:
        counting.trouble(f"handshake without an answer: {type(error).__name__}")
        return None
    counting.accepted(time.monotonic() - sent)
    return Line(opened, counting)


def _refusal(counting: Counting, refused: InvalidStatus, took: float) -> Refusal:
    try:
        body = json.loads(refused.response.body or b"")
        reason, retry_after = str(body["reason"]), float(body.get("retry_after", 0.0))
    except (ValueError, KeyError, TypeError):
        reason, retry_after = f"http_{refused.response.status_code}", 0.0
    counting.refused(reason, took)
    return Refusal(refused.response.status_code, reason, retry_after)


class Line:
    """An accepted connection. Answers are matched by id and counted as they come."""

    def __init__(self, opened: Wire, counting: Counting) -> None:
        self.opened = opened
        self.counting = counting
        self.code: int | None = None
        """The close code, once the connection is over."""
        self.over = Event()
        self.reading = Event()
        self.reading.set()
        self.bad: deque[tuple[str, float, Window]] = deque()
        """Why the frames that were sent on purpose are invalid, in order, and when and for whom they were sent."""
        self.received = 0
        """Messages of our own process."""
        self._asked: dict[str, Asked] = {}
        self._cut = False
        gevent.spawn(self._read)

    def say(self, kind: str, window: Window | None = None, **fields: Any) -> AsyncResult:
        """Send a verb; its answer comes later. On a connection that is over nothing happens."""
        client_id = f"{kind}-{next(_ids)}"
        return self.send_text(json.dumps({"type": kind, "id": client_id, **fields}), client_id, kind, window)

    def send_text(self, text: str, client_id: str, kind: str, window: Window | None = None) -> AsyncResult:
        """The same for a verb that is JSON already."""
        asked = self._asked[client_id] = Asked(kind, time.monotonic(), window, AsyncResult())
        self.send_raw(text)
        return asked.answer

    def send_raw(self, text: str | bytes) -> bool:
        """Send whatever it is; whether the connection was still there."""
        try:
            self.opened.send(text)
        except (ConnectionClosed, OSError):
            return False
        return True

    def send_bad(self, reason: str, text: str | bytes, window: Window) -> None:
        """Send what means nothing: its error, or the close, is counted under this reason."""
        self.bad.append((reason, time.monotonic(), window))
        if not self.send_raw(text):
            self.bad.pop()

    def ask(self, kind: str, window: Window | None = None, **fields: Any) -> dict[str, Any]:
        """Send a verb and wait for its answer; an empty one when none comes, which is trouble."""
        answer: dict[str, Any] | None = self.say(kind, window, **fields).wait(PATIENCE)
        if answer is None:
            self.counting.trouble(f"{kind} without an answer")
        return answer or {}

    def post(self, room: str, window: Window | None = None, padding: str = "") -> None:
        """Post the time, so that whoever reads it knows how long it took."""
        self.say("post", window, room=room, message=f"{OURS}{time.monotonic():.6f}{padding}")

    def leave(self) -> None:
        """Wait for what is unanswered, close in order, and be counted."""
        deadline = time.monotonic() + PATIENCE
        while self._asked and not self.over.is_set() and time.monotonic() < deadline:
            self.over.wait(0.05)
        if self._asked and not self.over.is_set():
            self.counting.trouble("no answer before the close")
        self.opened.close()
        self.over.wait(PATIENCE)

    def cut(self) -> None:
        """Drop the connection without a word, as a lost network does."""
        self._cut = True
        self.opened.socket.close()
        self.over.wait(PATIENCE)

    def stall(self) -> None:
        """Read nothing from now on."""
        self.reading.clear()

    def read_on(self) -> None:
        """Read again, and quickly."""
        with contextlib.suppress(OSError):
            self.opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WIDE_BYTES)
        self.reading.set()

    def _read(self) -> None:
        try:
            while True:
                self.reading.wait()
                self._frame(self.opened.recv())
        except ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd and not self._cut else _CUT_OFF
        except OSError:
            self.code = _CUT_OFF
        self._finish(self.code or _CUT_OFF)

    def _finish(self, code: int) -> None:
        if self.bad and code == 4505:
            self._invalid("", accepted=False)
        self.counting.closed(code)
        for asked in self._asked.values():
            asked.answer.set(None)
        self._asked.clear()
        self.over.set()

    def _frame(self, text: str) -> None:
        if text.startswith('{"type":"message"'):
            self._message(text)
            return
        frame = json.loads(text)
        match frame["type"]:
            case "error":
                self._error(frame)
            case "ack" | "joined" | "history" | "rooms" | "members":
                self._answered(frame)

    def _message(self, text: str) -> None:
        start = text.find(OURS)
        if start < 0:
            return
        sent = float(text[start + len(OURS) :].split('"', 1)[0].split("|", 1)[0])
        self.received += 1
        self.counting.took("delivery", time.monotonic() - sent, len(text))

    def _answered(self, frame: dict[str, Any]) -> None:
        asked = self._asked.pop(frame.get("id", ""), None)
        if asked is None:
            return
        now = time.monotonic()
        if asked.kind == "post":
            self.counting.posted("accepted")
            self.counting.took("ack", now - asked.sent)
        if asked.window:
            asked.window.note(asked.sent, now, accepted=True)
        asked.answer.set(frame)

    def _error(self, frame: dict[str, Any]) -> None:
        asked, now = self._asked.pop(frame.get("id") or self._oldest(frame), None), time.monotonic()
        if limit := frame.get("limit"):
            self.counting.throttled(
                limit, now - asked.sent if asked else 0.0, post=bool(asked and asked.kind == "post")
            )
        elif frame["code"] in ("invalid", "blank", "too_long"):
            self._invalid(frame["code"], accepted=True)
        elif asked and asked.kind == "post":
            self.counting.denied(frame["code"], now - asked.sent)
        if asked and asked.window:
            asked.window.note(asked.sent, now, accepted=False)
        if asked:
            asked.answer.set(frame)

    def _oldest(self, frame: dict[str, Any]) -> str:
        """A frame that was not even read has no id in its error; answers to pings come in order."""
        unread = frame.get("limit") == "frames_per_connection"
        return next((key for key, asked in self._asked.items() if asked.kind == "ping"), "") if unread else ""

    def _invalid(self, code: str, *, accepted: bool) -> None:
        """The oldest bad frame was put up with, or it was the last one."""
        if not self.bad:
            self.counting.trouble(f"a good frame was {code}")
            return
        reason, sent, window = self.bad.popleft()
        self.counting.invalid(reason)
        window.note(sent, time.monotonic(), accepted=accepted)
