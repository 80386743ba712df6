"""Where a client stands in a room, and what to make of what comes: pure, so that it can be tested without a network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from client.errors import Garbled
from client.frames import Fields, Reset


class Step(Enum):
    """How an event's offset follows what came before."""

    NEXT = auto()
    REPEAT = auto()
    GAP = auto()


@dataclass(slots=True)
class Position:
    """The last offset that was passed on, and the epoch that it was counted in; None before the first `joined`."""

    offset: int = 0
    epoch: str | None = None

    def asked(self) -> dict[str, Any]:
        """What a `join` has to say in order to go on from here."""
        return {} if self.epoch is None else {"after": self.offset, "epoch": self.epoch}

    def joined(self, room: str, frame: Fields) -> Reset | None:
        """Go on where the server does. A Reset when that is not where this client was; raises Garbled for a lie."""
        offset, epoch, recovered = frame.get("offset"), frame.get("epoch"), frame.get("recovered")
        if type(offset) is not int or not isinstance(epoch, str):
            raise Garbled("joined lacks its offset or epoch")
        before = Position(self.offset, self.epoch)
        if recovered and (offset, epoch) != (self.offset, self.epoch):
            raise Garbled("recovered from somewhere else than was asked for")
        self.offset, self.epoch = offset, epoch
        if recovered or before.epoch is None:
            return None
        return Reset(room=room, after=before.offset, offset=offset, epoch=epoch, same_epoch=epoch == before.epoch)

    def step(self, offset: int) -> Step:
        """What an event with this offset is; nothing moves."""
        if offset == self.offset + 1:
            return Step.NEXT
        return Step.REPEAT if offset <= self.offset else Step.GAP
