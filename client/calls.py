"""Verbs on their way: each keeps its id until it is answered, over throttles and over any number of connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from client.api import seconds
from client.errors import Refused, Throttled, Unconfirmed
from client.frames import Fields
from client.inbox import Inbox
from client.link import Link
from client.notices import Notify, Waiting
from client.pulse import Pulse

ANSWER_SECONDS: Final = 10.0
"""A connection that leaves a frame unanswered for so long is given up."""
_IN_FLIGHT: Final = 16
"""Below the server's 32 unacknowledged posts of one connection."""
_PASSING: Final = frozenset({"rate_limited", "busy", "room_full"})
_MARGIN: Final = 0.05
_SOON: Final = 1.0


@dataclass(slots=True)
class Call:
    """One verb. `ready` says whether it makes sense to send it on the connection that there is."""

    verb: str
    id: str
    room: str | None
    text: str
    ready: Callable[[], bool]
    sendings: int = 0


class Calls:
    """Who waits for which answer."""

    def __init__(self, inbox: Inbox, notify: Notify, frame_bytes: int) -> None:
        self.link: Link | None = None
        """The connection, while there is one."""
        self.ended: BaseException | None = None
        """Why there will be none any more."""
        self.pulse = Pulse()
        """Beats when a connection, a room or the end is there."""
        self._inbox = inbox
        self._notify = notify
        self._frame_bytes = frame_bytes
        self._pending: dict[str, asyncio.Future[Fields]] = {}
        self._window = asyncio.Semaphore(_IN_FLIGHT)

    def call(self, fields: Mapping[str, Any], id: str, ready: Callable[[], bool]) -> Call:  # noqa: A002
        """Build a verb; fields that are None are left out. Raises ValueError for what no server would take."""
        given = {name: value for name, value in fields.items() if value is not None}
        text = json.dumps({**given, "id": id}, ensure_ascii=False)
        if len(text.encode("utf-8", "surrogatepass")) > self._frame_bytes:
            raise ValueError(f"a frame has at most {self._frame_bytes} bytes")
        if id in self._pending:
            raise ValueError("that id waits for its answer already")
        return Call(given["type"], id, given.get("room"), text, ready)

    def answer(self, frame: Fields) -> None:
        """Hand an answer to whoever waits for it."""
        waiting = self._pending.get(str(frame.get("id")))
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)

    async def ask(self, call: Call, patience: float) -> Fields:
        """The answer to a verb of the caller's. Throttles are waited out as long as that ends within `patience`.

        Raises Refused, Throttled, Unconfirmed, or what ended the client.
        """
        clock = asyncio.get_running_loop().time
        ends = clock() + patience
        try:
            async with asyncio.timeout_at(ends + ANSWER_SECONDS):
                while True:
                    with self._inbox.urgent():
                        answer = await self.exchange(call)
                    if answer.get("type") != "error":
                        return answer
                    wait = passing(answer)
                    if wait is None or clock() + wait > ends:
                        raise refusal(answer, call)
                    await self.wait_out(call, answer, wait)
        except TimeoutError:
            raise Unconfirmed(call.id) from None

    async def wait_out(self, call: Call, answer: Fields, wait: float) -> None:
        """Tell that a verb has to wait, and wait."""
        self._notify(Waiting(call.verb, call.room, str(answer.get("code")), answer.get("limit"), wait))
        await asyncio.sleep(wait + _MARGIN)

    async def exchange(self, call: Call) -> Fields:
        """Send until there is an answer, whatever it says: again on each new connection, with the same id."""
        answer: asyncio.Future[Fields] = asyncio.get_running_loop().create_future()
        self._pending[call.id] = answer
        try:
            while not answer.done():
                link = await self._ready(call)
                async with self._window:
                    if link is self.link and call.ready():
                        await self._send(link, call, answer)
            return answer.result()
        finally:
            del self._pending[call.id]

    async def _send(self, link: Link, call: Call, answer: asyncio.Future[Fields]) -> None:
        again = link.again
        await link.send(call.text)
        call.sendings += 1
        if not await _either(answer, again, ANSWER_SECONDS):
            link.drop()
            await _either(answer, link.again)

    async def _ready(self, call: Call) -> Link:
        await self.pulse.until(lambda: self.ended is not None or (self.link is not None and call.ready()))
        if self.ended is not None:
            raise self.ended
        assert self.link is not None  # noqa: S101 - waited for
        return self.link


async def _either(answer: asyncio.Future[Fields], again: asyncio.Future[None], seconds: float | None = None) -> bool:
    """Whether one of them is done, in time."""
    both: set[asyncio.Future[Any]] = {answer, again}
    return bool((await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED))[0])


def passing(answer: Fields) -> float | None:
    """Seconds after which the same frame may be taken; None when it was refused for good."""
    if answer.get("code") not in _PASSING:
        return None
    wait = seconds(answer.get("retry_after"))
    return _SOON if wait is None else wait


def refusal(answer: Fields, call: Call) -> Refused:
    """The exception for an error frame."""
    kind = Refused if passing(answer) is None else Throttled
    return kind(
        str(answer.get("code")),
        str(answer.get("error", "")),
        limit=answer.get("limit"),
        retry_after=seconds(answer.get("retry_after")),
        uncertain=call.sendings > 1,
    )
