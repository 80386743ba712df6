"""The table of roles: what holds over all of its cells. tests/contract and tests/socket go through each."""

from __future__ import annotations

import itertools
from math import inf

import pytest

from app.roles import MEMBERS, TABLE, WHEN_ARCHIVED, WHEN_NOT_MUTED, Action, Role, judge, outranks
from app.routes.rooms import VERBS
from app.verbs import CLIENT_FRAMES
from app.verdict import Denied, ErrorCode


def test_a_higher_role_may_do_whatever_a_lower_one_may() -> None:
    """From banned to owner; an owner may do everything."""
    order = (Role.BANNED, Role.GUEST, Role.INVITED, Role.MEMBER, Role.MODERATOR, Role.OWNER)
    for lower, higher in itertools.pairwise(order):
        assert TABLE[lower] <= TABLE[higher]
    assert TABLE[Role.OWNER] == set(Action) and set(TABLE) == set(Role)


def test_every_action_can_be_asked_for() -> None:
    """By a frame of its name, and over HTTP where that is not a page; seeing and deleting another's are none."""
    frames = {model.model_fields["type"].annotation.__args__[0] for model in CLIENT_FRAMES}  # type: ignore[union-attr]
    asked = set(Action) - {Action.SEE, Action.DELETE_ANY}
    assert asked <= frames
    assert set(VERBS) == {action.value for action in asked} - {"history", "members", "audit"}


@pytest.mark.parametrize(("role", "action"), list(itertools.product(Role, Action)))
def test_what_speaks_against_it_comes_in_one_order(role: Role, action: Action) -> None:
    """First that there is no such room or a ban, then the table, the archive, and last the mute."""
    verdict = judge(role, action, 100.0, archived=True, muted_until=107.0, banned_until=105.0)
    if role is Role.STRANGER:
        assert verdict == Denied(ErrorCode.ROOM_UNKNOWN)
    elif role is Role.BANNED:
        assert verdict == Denied(ErrorCode.BANNED, 5.0)
    elif action not in TABLE[role]:
        assert verdict == Denied(ErrorCode.FORBIDDEN)
    elif action not in WHEN_ARCHIVED:
        assert verdict == Denied(ErrorCode.ROOM_ARCHIVED)
    else:
        assert verdict is None
    muted = judge(role, action, 100.0, muted_until=107.0)
    assert (muted == Denied(ErrorCode.MUTED, 7.0)) == (action in TABLE[role] & WHEN_NOT_MUTED)
    assert judge(role, action, 107.0, muted_until=107.0) == judge(role, action, 107.0), "it is over then"


def test_what_never_ends_has_no_time_to_wait() -> None:
    """For good is not a number of seconds."""
    assert judge(Role.BANNED, Action.SEE, 0.0, banned_until=inf) == Denied(ErrorCode.BANNED)
    assert judge(Role.MEMBER, Action.POST, 0.0, muted_until=inf) == Denied(ErrorCode.MUTED)


def test_nobody_outranks_their_like() -> None:
    """Owners are above all but owners, moderators above all below them, the others above nobody."""
    for role, other in itertools.product(Role, Role):
        expected = role in MEMBERS[:2] and other is not Role.OWNER and not (role is other is Role.MODERATOR)
        assert outranks(role, other) == expected
