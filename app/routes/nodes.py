"""For administrators: the hosts that serve the chat, and sending the people of one to the others."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from app.nodes import LastNode
from app.routes.accounts import ADMIN_REASONS
from app.routes.gate import Administrator, Parts
from app.routes.problem import Refused, documented
from app.sign_in import SECURITY

router = APIRouter(tags=["administration"])

Name = Annotated[str, Path(max_length=255, examples=["app-1"])]


class NodeBody(BaseModel):
    """A host. A drained one takes nobody in, until it is resumed or has been gone for 30 s."""

    name: str = Field(examples=["app-1"])
    processes: int = Field(examples=[4])
    connections: int = Field(examples=[120])
    drained: bool


class NodesBody(BaseModel):
    """The hosts that serve the chat, by name."""

    nodes: list[NodeBody]


@router.get("/api/nodes", responses=documented(*ADMIN_REASONS))
async def nodes(backends: Parts, _who: Administrator) -> NodesBody:
    """The hosts that serve the chat."""
    found = await backends.shared.nodes.nodes()
    bodies = [
        NodeBody(name=one.name, processes=one.processes, connections=one.connections, drained=one.drained)
        for one in found
    ]
    return NodesBody(nodes=bodies)


@router.put(
    "/api/nodes/{name}/drain",
    status_code=204,
    responses=documented(*ADMIN_REASONS, "not_found", "last_node", "invalid"),
)
async def drain(name: Name, backends: Parts, who: Administrator) -> None:
    """Have a host take nobody in and send its people to the others: told `going_away`, closed with 1012 one by one."""
    try:
        there = await backends.shared.nodes.drain(name)
    except LastNode:
        raise Refused("last_node") from None
    if not there:
        raise Refused("not_found")
    SECURITY.info("node_drained", extra={"node": name, "by": who.identity.user})


@router.delete("/api/nodes/{name}/drain", status_code=204, responses=documented(*ADMIN_REASONS, "not_found", "invalid"))
async def resume(name: Name, backends: Parts, who: Administrator) -> None:
    """Have a drained host take people in again."""
    if not await backends.shared.nodes.resume(name):
        raise Refused("not_found")
    SECURITY.info("node_resumed", extra={"node": name, "by": who.identity.user})
