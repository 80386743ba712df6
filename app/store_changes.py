"""What a change does to a locked room: one function for each action, behind the table of roles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from app.model import Change, EventKind, Stored
from app.roles import MEMBERS, Action, Role, outranks
from app.store_audit import Telling, tell
from app.store_edits import edit, erase
from app.store_heads import Head
from app.store_schema import members
from app.store_seats import Seat, joined_rooms, objection, seats, sit
from app.store_turns import Turn
from app.verdict import Denied, ErrorCode

_OTHER_OWNER = (
    select(members.c.user)
    .where(
        members.c.room == bindparam("in_room"),
        members.c.role == Role.OWNER.value,
        members.c.user != bindparam("name"),
    )
    .limit(1)
)
_CONCERNING: Final = frozenset(
    {Action.INVITE, Action.KICK, Action.BAN, Action.UNBAN, Action.MUTE, Action.UNMUTE, Action.SET_ROLE}
)
_NOT_WITH_EVERYONE: Final = frozenset({Action.LEAVE, Action.INVITE, Action.ARCHIVE})
_ONE_OF: Final = {
    # Whose message it is, or that the room is archived already, is found out only behind the table.
    Action.DELETE: (Action.DELETE, Action.DELETE_ANY),
    Action.DELETE_ANY: (Action.DELETE, Action.DELETE_ANY),
    Action.ARCHIVE: (Action.ARCHIVE, Action.UNARCHIVE),
}
_FORBIDDEN: Final = Denied(ErrorCode.FORBIDDEN)
_UNCHANGED: Final = Denied(ErrorCode.UNCHANGED)


def carry_out(connection: Connection, change: Change, head: Head, now: float) -> Stored | Denied:
    """Change the room as its sender may, and tell it by an event."""
    turn = _turn(connection, change, head, now)
    denied = (
        objection(turn.own, head, _ONE_OF.get(change.action, (change.action,)), now)
        or (_FORBIDDEN if head.everyone and change.action in _NOT_WITH_EVERYONE else None)
        or (_concerns(turn) if change.action in _CONCERNING else None)
    )
    if denied is not None:
        return denied
    told = _ACTS[change.action](turn)
    if isinstance(told, Denied):
        return told
    return Stored(tell(connection, change, head, now, told), repeated=False)


def _turn(connection: Connection, change: Change, head: Head, now: float) -> Turn:
    own = (head.id, change.sender)
    other = (head.id, change.user or change.sender)
    found = seats(connection, {own, other})
    return Turn(connection, change, head, now, found[own], found[other])


def _concerns(turn: Turn) -> Denied | None:
    """What speaks against acting on that user."""
    action, himself = turn.change.action, turn.user == turn.change.sender
    role = turn.role(turn.other)
    if turn.other.admin is None or turn.change.user is None:
        return Denied(ErrorCode.USER_UNKNOWN)
    if himself and action is not Action.SET_ROLE:
        return _FORBIDDEN
    if action is Action.KICK and not (turn.other.invited_by or _is_member(turn, turn.other)):
        return Denied(ErrorCode.MEMBER_UNKNOWN)
    if action is Action.SET_ROLE and not _is_member(turn, turn.other):
        return Denied(ErrorCode.MEMBER_UNKNOWN)
    if not himself and not outranks(turn.role(turn.own), role):
        return _FORBIDDEN
    return None


def _is_member(turn: Turn, seat: Seat) -> bool:
    """By a row, or as everybody is; an administrator who only counts as owner is not."""
    return seat.role is not None or (turn.head.everyone and turn.role(seat) is not Role.BANNED)


def _join(turn: Turn) -> Telling | Denied:
    if _is_member(turn, turn.own):
        return _UNCHANGED
    if joined_rooms(turn.connection, turn.user) >= turn.change.rooms_at_most:
        return Denied(ErrorCode.TOO_MANY_ROOMS, limit="rooms_per_user")
    # What was said before somebody came is not unread to them.
    read = max(turn.own.read, turn.head.offset)
    _sit(turn, replace(turn.own, role=Role.MEMBER, invited_by=None, since=turn.head.stamp(turn.now), read=read))
    return _member(turn, "joined", role=Role.MEMBER.value)


def _leave(turn: Turn) -> Telling | Denied:
    if turn.own.invited_by is not None:
        _sit(turn, replace(turn.own, invited_by=None))
        return _member(turn, "declined")
    if turn.own.role is None:
        return _UNCHANGED
    if _is_last_owner(turn):
        return Denied(ErrorCode.LAST_OWNER)
    _sit(turn, replace(turn.own, role=None))
    return _member(turn, "left")


def _invite(turn: Turn) -> Telling | Denied:
    if turn.role(turn.other) is Role.BANNED:
        return Denied(ErrorCode.FORBIDDEN, sentence="Lift the ban first.")
    if turn.other.role is not None or turn.other.invited_by is not None:
        return _UNCHANGED
    _sit(turn, replace(turn.other, invited_by=turn.change.sender, since=turn.head.stamp(turn.now)))
    return _member(turn, "invited")


def _kick(turn: Turn) -> Telling | Denied:
    _sit(turn, replace(turn.other, role=None, invited_by=None))
    return _member(turn, "kicked")


def _ban(turn: Turn) -> Telling | Denied:
    until = _until(turn)
    if turn.other.banned_until == until:
        return _UNCHANGED
    _sit(turn, replace(turn.other, role=None, invited_by=None, banned_until=until))
    return _member(turn, "banned", until=turn.change.until)


def _unban(turn: Turn) -> Telling | Denied:
    if turn.role(turn.other) is not Role.BANNED:
        return _UNCHANGED
    _sit(turn, replace(turn.other, banned_until=0.0))
    return _member(turn, "unbanned")


def _mute(turn: Turn) -> Telling | Denied:
    until = _until(turn)
    if turn.other.muted_until == until:
        return _UNCHANGED
    _sit(turn, replace(turn.other, muted_until=until))
    return _member(turn, "muted", until=turn.change.until)


def _unmute(turn: Turn) -> Telling | Denied:
    if turn.other.muted_until <= turn.now:
        return _UNCHANGED
    _sit(turn, replace(turn.other, muted_until=0.0))
    return _member(turn, "unmuted")


def _set_role(turn: Turn) -> Telling | Denied:
    role = turn.change.role
    if role not in MEMBERS:
        raise ValueError(f"{role} is no role that can be given")
    if role is (turn.other.role or Role.MEMBER):
        return _UNCHANGED
    if turn.user == turn.change.sender and _is_last_owner(turn):
        return Denied(ErrorCode.LAST_OWNER)
    _sit(turn, replace(turn.other, role=role))
    return _member(turn, "role", role=role.value)


def _rename(turn: Turn) -> Telling | Denied:
    title = (turn.change.facts or {})["title"]
    if title == turn.head.title:
        return _UNCHANGED
    turn.head.title = title
    return _room(turn, "renamed", title=title)


def _configure(turn: Turn) -> Telling | Denied:
    head = turn.head
    now = {
        "public": head.public,
        "posts_per_second": head.posts_per_second or 0.0,
        "slow_seconds": head.slow_seconds,
    }
    new = {name: value for name, value in (turn.change.facts or {}).items() if value != now[name]}
    if head.everyone and new.get("public") is False:
        return _FORBIDDEN
    if not new:
        return _UNCHANGED
    head.public = new.get("public", head.public)
    head.posts_per_second = new.get("posts_per_second", head.posts_per_second) or None
    head.slow_seconds = new.get("slow_seconds", head.slow_seconds)
    return _room(turn, "configured", **new)


def _archive(turn: Turn) -> Telling | Denied:
    if turn.head.archived:
        return _UNCHANGED
    turn.head.archived = True
    return _room(turn, "archived")


def _unarchive(turn: Turn) -> Telling | Denied:
    if not turn.head.archived:
        return _UNCHANGED
    turn.head.archived = False
    return _room(turn, "unarchived")


_ACTS: Final[dict[Action, Callable[[Turn], Telling | Denied]]] = {
    Action.JOIN: _join,
    Action.LEAVE: _leave,
    Action.EDIT: edit,
    Action.DELETE: erase,
    Action.DELETE_ANY: erase,
    Action.INVITE: _invite,
    Action.KICK: _kick,
    Action.BAN: _ban,
    Action.UNBAN: _unban,
    Action.MUTE: _mute,
    Action.UNMUTE: _unmute,
    Action.SET_ROLE: _set_role,
    Action.RENAME: _rename,
    Action.CONFIGURE: _configure,
    Action.ARCHIVE: _archive,
    Action.UNARCHIVE: _unarchive,
}


def _sit(turn: Turn, seat: Seat) -> None:
    """Store the row of the user whom it concerns, and count the members."""
    turn.head.members += (seat.role is not None) - (turn.other.role is not None)
    sit(turn.connection, turn.head.id, turn.user, seat)


def _is_last_owner(turn: Turn) -> bool:
    """Administrators own the room that everybody is in, whoever else does."""
    if turn.own.role is not Role.OWNER or turn.head.everyone:
        return False
    values = {"in_room": turn.head.id, "name": turn.change.sender}
    return turn.connection.execute(_OTHER_OWNER, values).first() is None


def _until(turn: Turn) -> float:
    return math.inf if turn.change.until is None else turn.change.until


def _member(turn: Turn, change: str, **facts: Any) -> Telling:
    said = {name: value for name, value in facts.items() if value is not None}
    facts = {"change": change, "user": turn.user} | said | turn.reason()
    return Telling(EventKind.MEMBER, facts, action=turn.change.action.value, user=turn.user)


def _room(turn: Turn, change: str, **facts: Any) -> Telling:
    return Telling(EventKind.ROOM, {"change": change} | facts, action=turn.change.action.value)
