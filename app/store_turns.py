"""One change on its way into a locked room."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from app.model import Change, UserName
from app.roles import Role
from app.store_heads import Head
from app.store_seats import Seat, effective_role


@dataclass(frozen=True, slots=True)
class Turn:
    """One change while it is carried out."""

    connection: Connection
    change: Change
    head: Head
    now: float
    own: Seat
    """The sender's."""
    other: Seat
    """That of the user whom it concerns, if anybody."""

    @property
    def user(self) -> UserName:
        """Whom it concerns; the sender where nobody is named."""
        return self.change.user or self.change.sender

    def role(self, seat: Seat) -> Role:
        """What a seat is now."""
        return effective_role(seat, self.head, self.now)

    def reason(self) -> dict[str, str]:
        """The event's field, where a reason was given."""
        return {"reason": self.change.reason} if self.change.reason else {}
