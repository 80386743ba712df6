"""For administrators: accounts, and ending other people's sessions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from app.model import Revocation, RevocationKind, UserName
from app.names import valid_name
from app.passwords import PasswordsBusy, one_time_password
from app.routes.gate import MEMBER_REASONS, Administrator, Parts
from app.routes.problem import Refused, documented
from app.routes.sessions import revoke_sessions
from app.sign_in import SECURITY

router = APIRouter(tags=["administration"])

ADMIN_REASONS = (*MEMBER_REASONS, "admin_required")

Name = Annotated[str, Path(max_length=64, examples=["alice"])]


class NewAccount(BaseModel):
    """An account to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        max_length=64, description="3 to 32 of `a-z 0-9 _ . -`; nothing that reads as System.", examples=["alice"]
    )
    admin: bool = False


class CreatedAccount(BaseModel):
    """A created account and its one-time password, which is shown only here."""

    name: str = Field(examples=["alice"])
    password: str = Field(examples=["k7mqd-x2vfh-9wnrt-c4bye"])


class AccountChange(BaseModel):
    """What to change about an account."""

    model_config = ConfigDict(extra="forbid")

    disabled: bool


class ChangedAccount(BaseModel):
    """An account after the change."""

    name: str = Field(examples=["alice"])
    disabled: bool


@router.post("/api/accounts", status_code=201, responses=documented(*ADMIN_REASONS, "name_taken", "invalid", "busy"))
async def create_account(body: NewAccount, backends: Parts, who: Administrator) -> CreatedAccount:
    """Create an account with a one-time password, which opens nothing but the choice of a new one."""
    if not valid_name(body.name):
        error = "must be 3 to 32 of a-z 0-9 _ . - and not read as System"
        raise Refused("invalid", detail=f"name {error}.", errors=[{"field": "name", "error": error}])
    password = one_time_password()
    try:
        password_hash = await backends.auth.passwords.hash(password)
    except PasswordsBusy:
        raise Refused("busy", 1.0) from None
    name = UserName(body.name)
    if not await backends.store.create_account(name, password_hash, admin=body.admin, one_time=True):
        raise Refused("name_taken")
    SECURITY.info("account_created", extra={"user": name, "admin": body.admin, "by": who.identity.user})
    return CreatedAccount(name=name, password=password)


@router.patch("/api/accounts/{name}", responses=documented(*ADMIN_REASONS, "not_found", "own_account", "invalid"))
async def change_account(name: Name, body: AccountChange, backends: Parts, who: Administrator) -> ChangedAccount:
    """Disable an account, which ends its sessions and closes its sockets with code 4502, or enable it again."""
    user = UserName(name)
    if body.disabled and user == who.identity.user:
        raise Refused("own_account")
    if not await backends.store.set_disabled(user, body.disabled):
        raise Refused("not_found")
    SECURITY.info(
        "account_disabled" if body.disabled else "account_enabled", extra={"user": user, "by": who.identity.user}
    )
    if body.disabled:
        await backends.broker.revoke(Revocation(RevocationKind.USER, user, "account_disabled"))
        await backends.store.end_sessions(user)
    return ChangedAccount(name=user, disabled=body.disabled)


@router.delete(
    "/api/accounts/{name}/sessions", status_code=204, responses=documented(*ADMIN_REASONS, "not_found", "invalid")
)
async def end_sessions(name: Name, backends: Parts, who: Administrator) -> None:
    """End all sessions of a user; their sockets are closed with code 4501."""
    user = UserName(name)
    if await backends.store.account(user) is None:
        raise Refused("not_found")
    ended = await backends.store.end_sessions(user)
    SECURITY.info("sessions_ended", extra={"user": user, "by": who.identity.user, "count": len(ended)})
    await revoke_sessions(backends, ended)
