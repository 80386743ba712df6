"""Seam: the hosts that serve the chat, and which of them an administrator has told to send its people elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Node:
    """A host, by its name: its processes that live, its open connections, and whether it is drained."""

    name: str
    processes: int
    connections: int
    drained: bool


class LastNode(Exception):  # noqa: N818 - nothing went wrong
    """No other node would take the people of the one that should be drained."""


class Nodes(Protocol):
    """Shared over every process that serves the chat."""

    async def drained(self) -> bool:
        """Whether this node is to take nobody in; ask every second. Never raises: who cannot ask goes on as before."""
        ...

    async def nodes(self) -> list[Node]:
        """All that live, by name. Raises StoreDown."""
        ...

    async def drain(self, name: str) -> bool:
        """Have a node take nobody in and close its connections; False when there is no such node.

        Lasts until `resume`, or until the node has been gone for 30 s. Raises LastNode, StoreDown.
        """
        ...

    async def resume(self, name: str) -> bool:
        """Have a node take people in again; False when it was not drained. Raises StoreDown."""
        ...


class OneNode:
    """Implements `Nodes` for a process that is alone."""

    def __init__(self, name: str, connections: Callable[[], int]) -> None:
        """`connections`: how many are open."""
        self._name = name
        self._connections = connections

    async def drained(self) -> bool:
        """See `Nodes.drained`."""
        return False

    async def nodes(self) -> list[Node]:
        """See `Nodes.nodes`."""
        return [Node(self._name, 1, self._connections(), drained=False)]

    async def drain(self, name: str) -> bool:
        """See `Nodes.drain`: there is no other."""
        if name == self._name:
            raise LastNode
        return False

    async def resume(self, name: str) -> bool:  # noqa: ARG002 - the seam's
        """See `Nodes.resume`."""
        return False
