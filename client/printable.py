"""Text of others on a terminal: nothing of it may steer the terminal, or pretend to be another line."""

from __future__ import annotations

import time
import unicodedata
from typing import Final

from client import frames
from client.frames import Delivery

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
"""Emoji and some scripts are written with them; they steer nothing."""


def printable(text: str) -> str:
    """The text on one line: no escape sequences, no control, bidirectional or other invisible format characters."""
    flat = text.replace("\r\n", "\n").replace("\n", " ⏎ ").replace("\t", " ")
    return "".join(one for one in flat if one in _JOINERS or unicodedata.category(one) not in _UNSEEN)


def line(event: Delivery, room: str | None) -> str | None:
    """What a person reads about an event; None for what is not worth a line. `room` is the one that is in view."""
    said = _said(event)
    if said is None:
        return None
    where = "" if event.room == room else f"[{event.room}] "
    stamp = time.strftime("%H:%M ", time.localtime(event.timestamp)) if isinstance(event, frames.Event) else "      "
    return printable(f"{stamp}{where}{said}")


def _said(event: Delivery) -> str | None:
    match event:
        case frames.Message(deleted=True):
            return f"{event.offset}  {event.sender}: (deleted)"
        case frames.Message():
            return f"{event.offset}  {event.sender}: {event.message}"
        case frames.Edited():
            return f"* {event.sender} edited {event.target}: {event.message}"
        case frames.Deleted():
            return f"* {event.sender} deleted {event.target}{_why(event.reason)}"
        case frames.MemberChanged():
            return _member(event)
        case frames.RoomChanged():
            named = {"title": event.title, "public": event.public, "posts per second": event.posts_per_second}
            named["slow mode"] = event.slow_seconds
            facts = ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
            return f"* {event.sender} {event.change} the room{': ' + facts if facts else ''}"
        case frames.Presence():
            return _presence(event)
        case frames.Membership(change="invited"):
            return (
                f"* {event.sender} invites you to {event.room}: /join {event.room}, or /leave {event.room} to decline"
            )
        case frames.Reset():
            return f"* Events after {event.after} of {event.room} were missed: see /history."
        case frames.Removed():
            return f"* You are not in {event.room} any more: {event.reason}."
        case _:
            return None


def _member(event: frames.MemberChanged) -> str:
    if event.sender == event.user:
        return f"* {event.user} {event.change}"
    role = f" {event.role}" if event.change == "role" else ""
    until = time.strftime(" until %d %b %H:%M", time.localtime(event.until)) if event.until else ""
    return f"* {event.sender} {event.change} {event.user}{role}{until}{_why(event.reason)}"


def _presence(event: frames.Presence) -> str | None:
    came = f"{', '.join(event.joined)} here" if event.joined else ""
    went = f"{', '.join(event.left)} gone" if event.left else ""
    return f"* {'; '.join(filter(None, (came, went)))}" if came or went else None


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""
