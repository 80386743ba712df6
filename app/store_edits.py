"""Messages that are edited or deleted after they were stored."""

from __future__ import annotations

from json import dumps
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from app.model import EventKind
from app.roles import Action, may
from app.store_audit import Telling
from app.store_schema import events
from app.store_turns import Turn
from app.verdict import Denied, ErrorCode

_MESSAGE = select(events.c.sender, events.c.message).where(
    events.c.room == bindparam("in_room"),
    events.c.offset == bindparam("at"),
    events.c.kind == EventKind.MESSAGE.value,
)
_REWRITE = (
    update(events)
    .where(events.c.room == bindparam("in_room"), events.c.offset == bindparam("at"))
    .values(message=bindparam("text"), facts=bindparam("said"))
)
_ERASE_EDITS = (
    update(events)
    # Only edits have a target of their own: one more condition, and SQLite would not search its index.
    .where(events.c.room == bindparam("in_room"), events.c.target == bindparam("at"))
    .values(message="", facts=bindparam("said"))
)


def edit(turn: Turn) -> Telling | Denied:
    """Give an own message another text; the one before is gone."""
    message = _message_at(turn)
    if message is None or message.sender != turn.change.sender:
        return Denied(ErrorCode.EVENT_UNKNOWN)
    said = {"edited_at": turn.head.stamp(turn.now)}
    turn.connection.execute(_REWRITE, _target(turn) | {"text": turn.change.message, "said": dumps(said)})
    return Telling(EventKind.EDITED, {"target": turn.change.target}, turn.change.message, turn.change.target)


def erase(turn: Turn) -> Telling | Denied:
    """Leave a tombstone: the text is gone, in the message and in all of its edits."""
    message = _message_at(turn)
    if message is None:
        return Denied(ErrorCode.EVENT_UNKNOWN)
    own = message.sender == turn.change.sender
    if not may(turn.role(turn.own), Action.DELETE if own else Action.DELETE_ANY):
        return Denied(ErrorCode.FORBIDDEN)
    at, target = _target(turn), turn.change.target
    turn.connection.execute(_REWRITE, at | {"text": "", "said": dumps({"deleted": True})})
    turn.connection.execute(_ERASE_EDITS, at | {"said": dumps({"target": target, "deleted": True})})
    facts = {"target": target} | turn.reason()
    if own:
        return Telling(EventKind.DELETED, facts)
    return Telling(EventKind.DELETED, facts, action=Action.DELETE_ANY.value, user=message.sender)


def _message_at(turn: Turn) -> Row[Any, Any] | None:
    """The message that the change is about, unless it is out of reach or its text is gone already."""
    row = turn.connection.execute(_MESSAGE, _target(turn)).one_or_none()
    if row is None or not row.message or (turn.change.target or 0) <= turn.head.floor:
        return None
    return row


def _target(turn: Turn) -> dict[str, Any]:
    return {"in_room": turn.head.id, "at": turn.change.target}
