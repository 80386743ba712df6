"""A connection to the chat that is made again whenever it breaks: events once and in order, verbs until answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import ssl
from collections.abc import Mapping
from itertools import count
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal, Self

from client import frames
from client.api import Api, seconds
from client.calls import Calls, passing
from client.credentials import Credential
from client.errors import Ended, Garbled, Rejected, terminal_close
from client.frames import Delivery, Fields, RoomRow
from client.inbox import Inbox
from client.link import Link, dial
from client.notices import Connected, Disconnected, Notice, Notify, Refreshed
from client.pace import Backoff
from client.resume import Position
from client.room import Room
from client.rooms import Rooms

_log = logging.getLogger("portcullis.client")
_STABLE_SECONDS: Final = 10.0
"""A connection that held for so long was no failure: the next backoff starts anew."""
_REFRESHES: Final = 4
_FRAMES_PER_CONNECTION: Final = "frames_per_connection"


class Client:
    """`async with Client(url, credential) as client`, then `join`, `post`, and `async for event in client`.

    Iterating yields what `frames.Delivery` names. Who falls more than `inbox` behind slows down the reading, until the
    server closes; nothing is lost by that. With `inbox=0` nothing is kept, for those who only send. `notify` is called
    at once with every `Notice`. `patience` is how long verbs wait for throttles and connections before they raise.
    `name` is the account's own name where the credential cannot tell it. `options` go to websockets' `connect`.
    """

    def __init__(
        self,
        url: str,
        credential: Credential,
        *,
        tls: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = None,
        origin: str | None = None,
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
        inbox: int = 1000,
        patience: float = 60.0,
        notify: Notify | None = None,
        backoff: Backoff | None = None,
        frame_bytes: int = 16_384,
        **options: Any,
    ) -> None:
        self._api = Api(url, tls=tls, origin=origin, headers=headers)
        self._credential = credential
        self._name = name
        self._patience = patience
        self._notify = notify or _nobody
        self._backoff = backoff or Backoff()
        self._dialing = {"proxy": proxy, **options}
        self._inbox = Inbox(inbox)
        self._calls = Calls(self._inbox, self._notify, frame_bytes)
        self._stem, self._numbers = secrets.token_hex(8), count(1)
        self._rooms = Rooms(self._calls, self._inbox, self._ask, self._new_id, lambda: self.name)
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        try:
            return await self._inbox.get()
        except Ended as ended:
            if ended.reason == "closed":
                raise StopAsyncIteration from None
            raise

    @property
    def name(self) -> str | None:
        """The account's own name, as far as it is known."""
        return self._name or self._credential.user()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._calls.link is not None

    @property
    def joined(self) -> Mapping[str, Room]:
        """The rooms that are joined, and joined again after every reconnect."""
        return MappingProxyType(self._rooms.wanted)

    async def open(self) -> None:
        """Return once there is a connection. Raises Ended when there can be none; else it goes on trying."""
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            await self._calls.pulse.until(lambda: self.connected or self._calls.ended is not None)
        except asyncio.CancelledError:
            await self.close()
            raise
        if self._calls.ended is not None:
            raise self._calls.ended

    async def close(self) -> None:
        """Close cleanly and give back the credential. Waiting verbs raise Ended, the iteration stops."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._end(Ended("closed"))
        with contextlib.suppress(Rejected, OSError):
            await self._credential.close(self._api)

    async def join(
        self, name: str, *, after: int | None = None, epoch: str | None = None, patience: float | None = None
    ) -> Room:
        """Become a live member, now and after every reconnect. With `after` and `epoch` of another day, what was missed
        since comes first, or a Reset. Raises Refused when the room does not let the user in."""
        waits = self._patience if patience is None else patience
        return await self._rooms.join(name, Position(after or 0, epoch), waits)

    def room(self, name: str) -> Room:
        """A room to ask about or to change without being live in it, such as one to decline the invitation to."""
        return self._rooms.room(name)

    async def rooms(self, *, public: bool = False) -> list[RoomRow]:
        """The user's rooms and invitations, or the public rooms that can be joined."""
        answer = await self._ask("rooms", public=public or None)
        return [frames.row(RoomRow, found) for found in answer["rooms"]]

    async def create(self, title: str, *, public: bool = False) -> Room:
        """Make a room, be its owner and join it from its first event on."""
        answer = await self._ask("create", title=title, public=public or None)
        return await self.join(str(answer["room"]))

    async def ping(self) -> None:
        """Return once the server has answered."""
        await self._ask("ping")

    async def _ask(
        self,
        verb: str,
        *,
        id: str | None = None,  # noqa: A002
        patience: float | None = None,
        **fields: Any,
    ) -> Fields:
        rooms, room, live = self._rooms, fields.get("room"), verb == "post"
        if verb == "typing":
            return await self._show(room)
        call = self._calls.call(
            {"type": verb, **fields},
            id or self._new_id(),
            lambda: not live or room in rooms.live or room not in rooms.wanted,
        )
        answer = await self._calls.ask(call, self._patience if patience is None else patience)
        if verb == "leave":
            rooms.left(str(room), answer.get("offset"))
        return answer

    async def _show(self, room: object) -> Fields:
        """Typing is worth nothing later: shown now or not at all."""
        link = self._calls.link
        if link is not None and room in self._rooms.live:
            await link.send(json.dumps({"type": "typing", "room": room}))
        return {}

    def _new_id(self) -> str:
        return f"{self._stem}-{next(self._numbers)}"

    # The life of the connection

    async def _run(self) -> None:
        again = False
        try:
            while True:
                # Who resumes for a caller that does not read would only fill the socket once more.
                await self._inbox.space()
                reason, hint, again = await self._attempt(again)
                wait = self._backoff.delay(hint)
                self._notify(Disconnected(reason, wait))
                await asyncio.sleep(wait)
        except Ended as ended:
            self._end(ended)
        except Exception as error:
            _log.exception("the client failed")
            self._end(error)

    async def _attempt(self, again: bool) -> tuple[str, float | None, bool]:
        """Connect and stay as long as it lasts; why it ended, the server's hint, and whether it was a connection."""
        try:
            link = await dial(self._api, await self._credential.proof(self._api), **self._dialing)
        except Rejected as rejected:
            if rejected.lasting(renews=self._credential.renews):
                raise Ended(rejected.reason, rejected.detail) from None
            if rejected.status == 401:  # noqa: PLR2004 - expired, and to be renewed
                self._credential.expired()
            return rejected.reason, rejected.retry_after, again
        except ssl.SSLCertVerificationError as error:
            raise Ended("certificate_invalid", error.verify_message) from None
        except (OSError, EOFError) as error:
            _log.debug("no connection: %s", type(error).__name__)
            return "unreachable", None, again
        began = asyncio.get_running_loop().time()
        reason = await self._stay(link, again)
        if asyncio.get_running_loop().time() - began >= _STABLE_SECONDS:
            self._backoff.reset()
        return reason, link.hint, True

    async def _stay(self, link: Link, again: bool) -> str:
        link.reader = asyncio.create_task(self._read(link))
        link.spawn(link.reader)
        self._calls.link = link
        try:
            self._rooms.resume(link)
            self._calls.pulse.beat()
            self._notify(Connected(again))
            await asyncio.wait([link.reader])
            return _why(link)
        finally:
            self._calls.link = None
            self._rooms.lost()
            await link.end()

    # What comes

    async def _read(self, link: Link) -> None:
        async with contextlib.aclosing(link.frames()) as incoming:
            async for frame in incoming:
                await self._receive(link, frame)
                self._calls.answer(frame)

    async def _receive(self, link: Link, frame: Fields) -> None:
        match frame.get("type"):
            case "joined":
                self._rooms.joined(frame)
            case "error" if "id" not in frame:
                self._unasked(link, frame)
            case "expiring":
                link.spawn(asyncio.create_task(self._refresh()))
            case "going_away":
                link.hint = seconds(frame.get("retry_after"))
            case "presence" | "typing" | "membership":
                self._inbox.offer(frames.ephemeral(frame))
            case _:
                event = frames.event(frame)
                if event is not None:
                    await self._rooms.event(event)

    def _unasked(self, link: Link, frame: Fields) -> None:
        """An error that answers no frame in particular."""
        if frame.get("code") == "removed":
            self._rooms.removed(str(frame.get("room")), "removed")
        elif frame.get("limit") == _FRAMES_PER_CONNECTION:
            link.throttled(passing(frame) or 0.0)
        else:
            _log.info("refused without an id: %s", frame.get("code"))

    # The credential and the end

    async def _refresh(self) -> None:
        """Go on with a fresh credential; where that fails, the next handshake says why."""
        delays = Backoff()
        for _ in range(_REFRESHES if self._credential.renews else 0):
            with contextlib.suppress(Rejected, OSError, Ended):
                token = await self._credential.fresh(self._api)
                call = self._calls.call({"type": "refresh", "token": token}, self._new_id(), lambda: True)
                answer = await self._calls.exchange(call)
                if answer.get("type") == "ack":
                    return self._notify(Refreshed(answer.get("expires_at")))
            await asyncio.sleep(delays.delay(1.0))
        return None

    def _end(self, error: BaseException) -> None:
        if self._calls.ended is None:
            self._calls.ended = error
            self._inbox.end(error)
            self._calls.pulse.beat()
            self._rooms.end(error)


def _why(link: Link) -> str:
    """Why a connection ended; raises Ended for what nobody comes back from."""
    assert link.reader is not None  # noqa: S101 - it stayed
    if link.reader.cancelled():
        return "unanswered"
    error = link.reader.exception()
    if isinstance(error, Garbled):
        _log.warning("the server broke the protocol: %s", error)
        return "garbled"
    if error is not None:
        raise error
    code, reason = link.closed_with
    if terminal_close(code):
        raise Ended(reason or str(code))
    return "lost" if code is None else reason or str(code)


def _nobody(_: Notice) -> None:
    """Nobody listens."""
