"""Rooms over HTTP: the same verbs as on the socket, with the same rights, limits and refusals."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from app import protocol, verbs
from app.auth import Authenticated
from app.backends import Backends
from app.charges import Charged
from app.frames import AuditRow, EventFrame, MemberRow, RoomRow
from app.model import Stored, UserName
from app.protocol import Malformed
from app.routes.gate import MEMBER_REASONS, Member, Parts
from app.routes.problem import Refused, documented
from app.verdict import Denied, ErrorCode, Reason

router = APIRouter(tags=["rooms"])

VERBS: Final = (
    *("join", "leave", "post", "edit", "delete", "read", "typing", "invite", "kick", "ban", "unban", "mute", "unmute"),
    *("set_role", "rename", "configure", "archive", "unarchive"),
)
"""What `POST /api/rooms/{room}/{verb}` knows."""
_TALKER_REASONS: Final = (*MEMBER_REASONS, "user_cooldown", "rate_limited", "invalid")
"""What any route here may be refused for."""
_REASONS: Final = (*_TALKER_REASONS, "room_unknown", "forbidden", "banned", "busy")
_CHANGE_REASONS: Final = (
    *_REASONS,
    *("room_archived", "muted", "too_many_rooms", "last_owner", "user_unknown", "member_unknown", "event_unknown"),
    *("unchanged", "blank", "too_long", "not_found"),
)
RoomPath = Annotated[str, Field(description="The room's id.", examples=["lobby"])]


async def cooled(who: Member, backends: Parts) -> Authenticated:
    """A member who does not have to cool down; raises Refused."""
    wait = await backends.limiter.cooldown(who.identity.user)
    if wait > 0:
        raise Refused(Reason.USER_COOLDOWN, wait)
    return who


Talker = Annotated[Authenticated, Depends(cooled)]


class NewRoom(BaseModel):
    """A room to make."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": "Book club", "public": True}]})

    title: verbs.Title
    public: bool = False
    id: verbs.ClientId | None = Field(None, description="Your own id: sent twice, it makes one room.")


class Done(BaseModel):
    """What was carried out; `offset` where it is an event of the room."""

    room: str = Field(examples=["book-club-x3k9ab"])
    offset: int | None = Field(None, examples=[12])


class RoomList(BaseModel):
    """Rooms as the caller sees them."""

    rooms: list[RoomRow]


class EventList(BaseModel):
    """Events in offset order; `more` says whether the history goes on in the asked direction."""

    room: str
    epoch: str
    events: list[EventFrame]
    more: bool


class MemberList(BaseModel):
    """Who is in a room."""

    room: str
    members: list[MemberRow]


class AuditList(BaseModel):
    """Who changed what about a room, newest first; `more` says whether older entries follow."""

    room: str
    entries: list[AuditRow]
    more: bool


@router.get("/api/rooms", response_model=RoomList, responses=documented(*_TALKER_REASONS))
async def rooms(backends: Parts, who: Talker, *, public: bool = False) -> Response:
    """Your rooms and invitations, or the public rooms that you can join."""
    return await _page(backends, who.identity.user, verbs.Rooms(type="rooms", public=public))


@router.post("/api/rooms", status_code=201, responses=documented(*_TALKER_REASONS, "too_many_rooms", "busy"))
async def create(body: NewRoom, backends: Parts, who: Talker) -> Done:
    """Make a room and be its owner."""
    verb = verbs.Create(type="create", **body.model_dump())
    return _done(await _act(backends, who.identity.user, verb, len(body.title)), "")


@router.get("/api/rooms/{room}", response_model=RoomRow, responses=documented(*_REASONS))
async def room(room: RoomPath, backends: Parts, who: Talker) -> Response:
    """One room as you see it."""
    verb = _verb({"type": "members", "room": room})  # only for its name's form
    return JSONResponse(
        await _granted(backends, who.identity.user, await backends.rooms.room(who.identity.user, verb.room))
    )


@router.get("/api/rooms/{room}/events", response_model=EventList, responses=documented(*_REASONS))
async def events(
    room: RoomPath,
    backends: Parts,
    who: Talker,
    before: Annotated[int | None, Query(ge=0)] = None,
    after: Annotated[int | None, Query(ge=0)] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 50,
) -> Response:
    """One page of history: the newest events, those before an offset, or those after it."""
    asked = {"type": "history", "room": room, "before": before, "after": after, "limit": limit}
    return await _page(backends, who.identity.user, _verb(asked))


@router.get("/api/rooms/{room}/members", response_model=MemberList, responses=documented(*_REASONS))
async def members(room: RoomPath, backends: Parts, who: Talker) -> Response:
    """Who is in the room, and who of them is there now."""
    return await _page(backends, who.identity.user, _verb({"type": "members", "room": room}))


@router.get("/api/rooms/{room}/audit", response_model=AuditList, responses=documented(*_REASONS))
async def audit(
    room: RoomPath, backends: Parts, who: Talker, before: Annotated[int | None, Query(ge=1)] = None
) -> Response:
    """One page of the room's audit log: for its owners and moderators."""
    asked = {"type": "audit", "room": room, "before": before}
    return await _page(backends, who.identity.user, _verb(asked))


@router.post("/api/rooms/{room}/{verb}", response_model_exclude_none=True, responses=documented(*_CHANGE_REASONS))
async def act(
    room: RoomPath,
    verb: Annotated[str, Field(examples=["post"])],
    request: Request,
    backends: Parts,
    who: Talker,
    body: Annotated[dict[str, Any], Body(examples=[{"message": "Hello", "id": "c1"}])],
) -> Done:
    """Carry out a verb of the socket (docs/clients.md): its fields without `type` and `room` are the body."""
    if verb not in VERBS:
        raise Refused("not_found")
    if "type" in body or "room" in body:
        raise Refused("invalid", detail="The path names the verb and the room, the body does not.")
    asked = _verb({**body, "type": verb, "room": room}, backends.settings.message_characters)
    return _done(await _act(backends, who.identity.user, asked, len(await request.body())), room)


def _verb(given: dict[str, Any], characters: int = verbs.DEFAULT_CHARACTERS) -> Any:
    parsed = protocol.verb(
        {name: value for name, value in given.items() if value is not None}, protocol.Profile.CHAT_V1, characters
    )
    if isinstance(parsed, Malformed):
        raise Refused(parsed.code, detail=parsed.error)
    return parsed


async def _page(backends: Backends, user: UserName, verb: Charged) -> Response:
    """The same fields as on the socket, which tests hold against the models: not validated again at run time."""
    return JSONResponse(await _act(backends, user, verb, 0))


async def _act(backends: Backends, user: UserName, verb: Charged, size: int) -> Any:
    return await _granted(backends, user, await backends.rooms.act(user, verb, size))


async def _granted(backends: Backends, user: UserName, answer: Any) -> Any:
    """The answer, unless it is a refusal; one by a limit is counted under its name, and a flood like on the socket."""
    if not isinstance(answer, Denied):
        return answer
    extra = {} if answer.limit is None else {"limit": answer.limit}
    if answer.limit is not None and answer.code is ErrorCode.RATE_LIMITED:
        await backends.floods.throttled(user, answer.limit)
    elif answer.limit is not None:
        backends.metrics.messages_throttled.labels(answer.limit).inc()
    raise Refused(answer.code, answer.retry_after, detail=answer.text, **extra)


def _done(answer: Stored | None, room: str) -> Done:
    if isinstance(answer, Stored):
        return Done(room=answer.event.room, offset=answer.event.offset)
    return Done(room=room)
