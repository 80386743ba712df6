"""What the server says about events, rooms and members, as JSON objects: alike on the socket and over HTTP."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any, Final

from app.model import AuditEntry, Entry, Event, EventKind, Listing, Member, RoomState, UserName
from app.verdict import Denied

_WITH_TEXT: Final = frozenset({EventKind.MESSAGE, EventKind.EDITED})


def event(event: Event) -> dict[str, Any]:
    """An event's frame."""
    frame: dict[str, Any] = {
        "type": event.kind,
        "room": event.room,
        "offset": event.offset,
        "sender": event.sender,
        "timestamp": event.timestamp,
    }
    if event.kind in _WITH_TEXT:
        frame["message"] = event.message
    if event.facts is not None:
        frame.update(event.facts)
    return frame


def error(denied: Denied) -> dict[str, Any]:
    """A refusal; `retry_after` in seconds, rounded up to a hundredth so that waiting it is enough."""
    wait = None if denied.retry_after is None else round(denied.retry_after + 0.005, 2)
    return {"code": denied.code, "error": denied.text, "limit": denied.limit, "retry_after": wait}


def joined(entry: Entry, offset: int, newest: int, *, recovered: bool, now: float) -> dict[str, Any]:
    """What a new live member learns: `offset` is the one before its first event."""
    return {
        "type": "joined",
        "room": entry.state.room,
        "offset": offset,
        "newest": newest,
        "epoch": entry.state.epoch,
        "recovered": recovered,
        "role": entry.role,
        **_settings(entry.state),
        "archived": True if entry.state.archived else None,
        "muted_until": _ahead(entry.muted_until, now),
    }


def listing(listing: Listing, now: float) -> dict[str, Any]:
    """A row of a list of rooms."""
    entry = listing.entry
    return _given(
        {
            "room": entry.state.room,
            **_settings(entry.state),
            "archived": entry.state.archived,
            "role": entry.role,
            "members": listing.members,
            "offset": entry.state.offset,
            "read": listing.read,
            "unread": listing.unread,
            "muted_until": _ahead(entry.muted_until, now),
        }
    )


def member(member: Member, online: Container[UserName], now: float) -> dict[str, Any]:
    """A row of a room's members."""
    return _given(
        {
            "user": member.user,
            "role": member.role,
            "online": member.user in online,
            "muted_until": _ahead(member.muted_until, now),
            "banned_until": _ahead(member.banned_until, now),
        }
    )


def audit(entry: AuditEntry) -> dict[str, Any]:
    """A row of a room's audit log."""
    return _given(
        {
            "id": entry.id,
            "offset": entry.offset,
            "timestamp": entry.timestamp,
            "by": entry.by,
            "action": entry.action,
            "user": entry.user,
            "reason": entry.reason or None,
            "facts": dict(entry.facts) or None,
        }
    )


def _settings(state: RoomState) -> dict[str, Any]:
    return {
        "title": state.title,
        "public": state.public,
        "posts_per_second": state.posts_per_second,
        "slow_seconds": state.slow_seconds or None,
    }


def _ahead(until: float, now: float) -> float | None:
    """A time that is still to come; -1 for one without an end, which JSON has no number for."""
    if until <= now:
        return None
    return -1 if math.isinf(until) else until


def _given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
