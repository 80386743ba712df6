"""What verbs cost their users: the limits that each one is charged to, on the socket and over HTTP alike."""

from __future__ import annotations

from collections.abc import Sequence

from app import verbs
from app.limiter import Charge, Limit, Rate
from app.model import RoomId, UserName
from app.settings import Settings

Charged = verbs.Changing | verbs.Asking | verbs.Post | verbs.Join | verbs.Create | verbs.Read | verbs.Typing


class Charges:
    """Sizes are the bytes of the frame or of the body."""

    def __init__(self, settings: Settings) -> None:
        self._posts = Rate(settings.posts_per_user_per_second, settings.posts_per_user_burst)
        self._bytes = Rate(settings.bytes_per_user_per_second, settings.bytes_per_user_burst)
        self._changes = Rate(settings.changes_per_user_per_second, settings.changes_per_user_burst)
        self._reads = Rate(settings.reads_per_user_per_second, settings.reads_per_user_burst)
        self.room = Rate(settings.posts_per_room_per_second, settings.posts_per_room_burst)
        """How fast everybody together may post in a room whose owner has set no rate."""

    def verb(self, user: UserName, verb: Charged, size: int) -> Sequence[Charge]:
        """Any verb but a post, which is charged with its room once that is known."""
        match verb:
            case verbs.Post():
                return ()
            case verbs.Edit():
                return self.own_post(user, size)
            case verbs.Join() | verbs.Rooms() | verbs.History() | verbs.Members() | verbs.Audit():
                own = Charge(Limit.READS_PER_USER, user, self._reads)
            case verbs.Read() | verbs.Typing():
                own = Charge(Limit.READS_PER_USER, user, self._reads)
            case _:
                own = Charge(Limit.CHANGES_PER_USER, user, self._changes)
        return own, self.frame(user, size)

    def post(self, user: UserName, room: RoomId, rate: Rate, slow: Rate | None, size: int) -> Sequence[Charge]:
        """A post, at the room's rate; `slow` where its slow mode is for this user."""
        charges = (*self.own_post(user, size), Charge(Limit.POSTS_PER_ROOM, room, rate))
        return charges if slow is None else (*charges, Charge(Limit.SLOW_MODE, f"{room} {user}", slow))

    def own_post(self, user: UserName, size: int) -> Sequence[Charge]:
        """What of a post concerns its user alone."""
        return Charge(Limit.POSTS_PER_USER, user, self._posts), self.frame(user, size)

    def frame(self, user: UserName, size: int) -> Charge:
        """Any frame at all."""
        return Charge(Limit.BYTES_PER_USER, user, self._bytes, size)
