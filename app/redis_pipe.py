"""One connection to a Redis or Valkey server, which carries many commands at once.

All commands of one tick of the event loop leave in one write, and their answers are matched in order. RESP3, packed and
parsed by hiredis; nothing here blocks, retries a command or waits longer than it was told to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from app.store import StoreDown

_UNANSWERED: Final = 10_000
"""Commands on their way at once; one more is refused, as if the server were down."""
_UNWRITTEN_BYTES: Final = 16 * 1024 * 1024
_HARMLESS: Final = ("NOSCRIPT", "ERR", "WRONGTYPE")
"""Errors of one command. Any other (LOADING, READONLY, OOM, NOPERM, MISCONF ...) says that the server cannot serve."""

Word = str | bytes | int | float
Pushed = Callable[[list[Any]], None]

_MORE: Final = object()
"""What hiredis returns when an answer is not complete yet."""
_pack: Callable[[Any], bytes] = hiredis.pack_command  # its stub knows tuples of one word only


class RedisDown(StoreDown):
    """The server did not answer, or not in a way that helps. Whether it carried the command out is not known."""


class NoScript(RedisDown):
    """The server does not know the script: it has not carried anything out."""


class Pipe(asyncio.Protocol):
    """One connection. Answers come in the order of the commands; an overdue one ends it, and everything on its way."""

    def __init__(self, seconds: float, pushed: Pushed | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._pushed = pushed
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._why = "the connection was closed"
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Done, with the reason, once the connection is."""

    def send(self, *words: Word) -> asyncio.Future[Any]:
        """The answer to come: a future that fails with RedisDown. Raises RedisDown when too much is on its way."""
        self.order(*words)
        answer: asyncio.Future[Any] = self._loop.create_future()
        ends = self._loop.time() + self._seconds
        self._waiting.append((answer, ends))
        if self._watch is None:
            self._watch = self._loop.call_at(ends, self._overdue)
        return answer

    def order(self, *words: Word) -> None:
        """Send what is answered by pushes alone, as SUBSCRIBE is. Raises RedisDown as `send` does."""
        if self._transport is None or self._transport.is_closing():
            raise RedisDown(self._why)
        if len(self._waiting) >= _UNANSWERED or self._transport.get_write_buffer_size() > _UNWRITTEN_BYTES:
            raise RedisDown("too many commands wait for an answer")
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(_pack(words))

    def end(self, why: str) -> None:
        """Close at once; whoever waits for an answer gets RedisDown."""
        if self._transport is not None and not self._transport.is_closing():
            self._why = why
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's only look like one

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not _MORE:
                self._received(answer)
        except hiredis.ProtocolError:
            self.end("the server does not speak RESP")

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(RedisDown(self._why))
        if not self.lost.done():
            self.lost.set_result(self._why if exc is None else type(exc).__name__)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _received(self, answer: Any) -> None:
        if isinstance(answer, hiredis.PushNotification):
            if self._pushed is not None:
                self._pushed(answer)
            return
        if not self._waiting:
            self.end(f"the server said {answer}" if isinstance(answer, hiredis.ReplyError) else "an answer to nothing")
            return
        future, _ = self._waiting.popleft()
        if isinstance(answer, hiredis.ReplyError):
            self._refused(future, str(answer))
        elif not future.done():
            future.set_result(answer)

    def _refused(self, future: asyncio.Future[Any], words: str) -> None:
        kind = words.partition(" ")[0]
        if not future.done():
            future.set_exception(NoScript(words) if kind == "NOSCRIPT" else RedisDown(words))
        if kind not in _HARMLESS:
            self.end(f"the server answered {kind}")

    def _overdue(self) -> None:
        """One timer for all: the oldest command's answer is due first."""
        self._watch = None
        if not self._waiting:
            return
        ends = self._waiting[0][1]
        if ends <= self._loop.time():
            self.end(f"no answer within {self._seconds:g} s")
        else:
            self._watch = self._loop.call_at(ends, self._overdue)
