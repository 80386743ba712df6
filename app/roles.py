"""Who may do what in a room: one table, from which authorisation, docs/rooms.md and the tests' matrix come."""

from __future__ import annotations

from enum import StrEnum
from math import isinf
from typing import Final

from app.verdict import Denied, ErrorCode


class Role(StrEnum):
    """What a user is in a room at one moment."""

    OWNER = "owner"
    MODERATOR = "moderator"
    MEMBER = "member"
    INVITED = "invited"
    GUEST = "guest"
    """No member of a public room."""
    BANNED = "banned"
    STRANGER = "stranger"
    """No member of a private room: for them it does not exist."""


MEMBERS: Final = (Role.OWNER, Role.MODERATOR, Role.MEMBER)
"""The roles that are given, highest first; the others follow from what is not."""


class Action(StrEnum):
    """Everything that can be done in a room, by the name of its verb; `delete_any` is `delete` of another's message."""

    SEE = "see"
    JOIN = "join"
    LEAVE = "leave"
    HISTORY = "history"
    READ = "read"
    MEMBERS = "members"
    TYPING = "typing"
    POST = "post"
    EDIT = "edit"
    DELETE = "delete"
    DELETE_ANY = "delete_any"
    INVITE = "invite"
    KICK = "kick"
    BAN = "ban"
    UNBAN = "unban"
    MUTE = "mute"
    UNMUTE = "unmute"
    AUDIT = "audit"
    SET_ROLE = "set_role"
    RENAME = "rename"
    CONFIGURE = "configure"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"


_VISITOR: Final = frozenset({Action.SEE, Action.JOIN})
_INVITED: Final = _VISITOR | {Action.LEAVE}
_MEMBER: Final = _INVITED | {
    Action.HISTORY,
    Action.READ,
    Action.MEMBERS,
    Action.TYPING,
    Action.POST,
    Action.EDIT,
    Action.DELETE,
}
_MODERATOR: Final = _MEMBER | {
    Action.DELETE_ANY,
    Action.INVITE,
    Action.KICK,
    Action.BAN,
    Action.UNBAN,
    Action.MUTE,
    Action.UNMUTE,
    Action.AUDIT,
}
_OWNER: Final = frozenset(Action)

TABLE: Final[dict[Role, frozenset[Action]]] = {
    Role.OWNER: _OWNER,
    Role.MODERATOR: _MODERATOR,
    Role.MEMBER: _MEMBER,
    Role.INVITED: _INVITED,
    Role.GUEST: _VISITOR,
    Role.BANNED: frozenset(),
    Role.STRANGER: frozenset(),
}
"""Beside the table: whom kick, ban, unban, mute, unmute, invite and set_role concern must rank below the one who asks
(`outranks`), an archived room allows what `WHEN_ARCHIVED` says, a muted member may do nothing of `WHEN_NOT_MUTED`, and
an administrator of the server counts as owner of every public room."""

WHEN_ARCHIVED: Final = frozenset(
    {Action.SEE, Action.LEAVE, Action.HISTORY, Action.READ, Action.MEMBERS, Action.AUDIT}
    | {Action.UNARCHIVE, Action.DELETE, Action.DELETE_ANY, Action.KICK, Action.BAN, Action.UNBAN}
)
WHEN_NOT_MUTED: Final = frozenset({Action.POST, Action.EDIT, Action.TYPING})


def may(role: Role, action: Action) -> bool:
    """Whether the table allows it."""
    return action in TABLE[role]


def judge(
    role: Role,
    action: Action,
    now: float,
    *,
    archived: bool = False,
    muted_until: float = 0.0,
    banned_until: float = 0.0,
) -> Denied | None:
    """Why a user of that role may not do it to the room at `now`, None when they may. Times are Unix seconds."""
    if role is Role.STRANGER:
        return Denied(ErrorCode.ROOM_UNKNOWN)
    if role is Role.BANNED:
        return Denied(ErrorCode.BANNED, _wait(banned_until, now))
    if not may(role, action):
        return Denied(ErrorCode.FORBIDDEN)
    if archived and action not in WHEN_ARCHIVED:
        return Denied(ErrorCode.ROOM_ARCHIVED)
    if muted_until > now and action in WHEN_NOT_MUTED:
        return Denied(ErrorCode.MUTED, _wait(muted_until, now))
    return None


def _wait(until: float, now: float) -> float | None:
    return None if isinf(until) else max(0.0, until - now)


def outranks(role: Role, other: Role) -> bool:
    """Whether a role may act on somebody of the other one: owners on all but owners, moderators on all below them."""
    return _RANK[role] > _RANK[other]


_RANK: Final = {Role.OWNER: 2, Role.MODERATOR: 1} | dict.fromkeys(
    (Role.MEMBER, Role.INVITED, Role.GUEST, Role.BANNED, Role.STRANGER), 0
)
