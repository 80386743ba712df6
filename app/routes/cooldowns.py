"""For administrators: users who were closed for flooding and have to wait, and letting them off."""

from __future__ import annotations

import time

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.routes.accounts import ADMIN_REASONS, Name
from app.routes.gate import Administrator, Parts
from app.routes.problem import Refused, documented
from app.sign_in import SECURITY

router = APIRouter(tags=["administration"])


class CooldownBody(BaseModel):
    """A user whose handshakes and posts are refused as `user_cooldown`; `until` is in Unix seconds."""

    user: str = Field(examples=["mallory"])
    until: float = Field(examples=[1767225660.0])


class Cooldowns(BaseModel):
    """Who is cooling down, the longest wait first; the first 500."""

    cooldowns: list[CooldownBody]


@router.get("/api/cooldowns", responses=documented(*ADMIN_REASONS))
async def cooldowns(backends: Parts, _who: Administrator) -> Cooldowns:
    """Who is cooling down after a flood."""
    found = await backends.limiter.cooldowns()
    now = time.time()
    return Cooldowns(cooldowns=[CooldownBody(user=user, until=now + seconds) for user, seconds in found])


@router.delete("/api/cooldowns/{name}", status_code=204, responses=documented(*ADMIN_REASONS, "not_found", "invalid"))
async def lift_cooldown(name: Name, backends: Parts, who: Administrator) -> None:
    """End a user's cool-down. It no longer makes the next one longer, either."""
    if not await backends.limiter.lift(name):
        raise Refused("not_found")
    SECURITY.info("cooldown_lifted", extra={"user": name, "by": who.identity.user})
