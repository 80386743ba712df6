"""Who the store's tests are about: two who know only the lobby, and somebody of each role in the furnished room."""

from __future__ import annotations

from app.model import UserName
from app.roles import Role

ANN, BOB = UserName("ann"), UserName("bob")
OWNER, SECOND_OWNER, MODERATOR = UserName("olga"), UserName("otto"), UserName("mona")
MEMBER, OTHER_MEMBER, INVITED, BANNED = UserName("mel"), UserName("tom"), UserName("ivy"), UserName("ben")
OUTSIDER, NEWCOMER, ADMIN = UserName("gus"), UserName("nora"), UserName("root")
PEOPLE = (OWNER, SECOND_OWNER, MODERATOR, MEMBER, OTHER_MEMBER, INVITED, BANNED, OUTSIDER, NEWCOMER)

WHO = {
    Role.OWNER: OWNER,
    Role.MODERATOR: MODERATOR,
    Role.MEMBER: MEMBER,
    Role.INVITED: INVITED,
    Role.GUEST: OUTSIDER,
    Role.BANNED: BANNED,
    Role.STRANGER: OUTSIDER,
}
"""Somebody of each role in the furnished room: a guest when it is public, else a stranger."""
