"""The line to a Redis or Valkey server: one socket that carries many commands at once, and is made anew by itself.

All commands of one tick of the event loop leave in one write, and their answers are matched in order. RESP3, packed and
parsed by hiredis; nothing here blocks, retries a command or waits longer than `Server.seconds`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import hiredis

from app.settings import read_secret
from app.store import StoreDown

_log = logging.getLogger("portcullis.redis")

_UNANSWERED: Final = 10_000
"""Commands on their way at once; one more is refused, as if the server were down."""
_UNWRITTEN_BYTES: Final = 16 * 1024 * 1024
_PAUSES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds between attempts to connect; the last one repeats."""
_STEADY: Final = 5.0
"""Seconds that a connection has to last for the next attempt to come soon again."""
_HARMLESS: Final = ("NOSCRIPT", "ERR", "WRONGTYPE")
"""Errors of one command. Any other (LOADING, READONLY, OOM, NOPERM, MISCONF ...) says that the server cannot serve."""

COMMANDS: Final = (
    "+ping +publish +subscribe +evalsha +script|load "
    "+time +get +mget +set +del +exists +pexpire +zadd +zcount +zrange +zrem +zremrangebyscore +zscore"
)
"""All that the chat sends, and all that its scripts call: what its ACL user may do, and nothing else."""

Word = str | bytes | int | float
Pushed = Callable[[list[Any]], None]

_pack: Callable[[Any], bytes] = hiredis.pack_command  # its stub knows tuples of one word only


class RedisDown(StoreDown):
    """The server did not answer, or not in a way that helps. Whether it carried the command out is not known."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is and as whom we speak to it. A password comes from a file that only its owner can read."""

    url: str
    """`unix:///path/of.sock`, `redis://host:port`, or `rediss://host:port` for TLS."""
    user: str = "default"
    password_file: Path | None = None
    """Read again for each connection, so that a new password needs no restart."""
    ca_file: Path | None = None
    """Who has signed the server's certificate; unset: whom this machine trusts."""
    seconds: float = 0.5
    """Longest wait for an answer, and for a connection."""

    def __post_init__(self) -> None:
        """Raises ValueError for a URL that says too much or too little."""
        parts = urlsplit(self.url)
        tcp = parts.scheme in ("redis", "rediss") and parts.hostname and parts.path in ("", "/", "/0")
        unix = parts.scheme == "unix" and parts.path and not parts.netloc
        if not (tcp or unix) or parts.query or parts.fragment:
            raise ValueError("must be unix:///path, redis://host:port or rediss://host:port")
        if "@" in parts.netloc:
            raise ValueError("must not carry a user or a password")

    def greeting(self) -> tuple[str | bytes, ...]:
        """RESP3, as our user. Raises SettingsError when the password's file is missing or open to others."""
        if self.password_file is None:
            return ("HELLO", "3")
        return ("HELLO", "3", "AUTH", self.user, read_secret(self.password_file))

    def tls(self) -> ssl.SSLContext | None:
        """TLS 1.2 or later, the server's name checked."""
        if not self.url.startswith("rediss:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def acl(prefix: str) -> str:
    """The rules of the chat's user, but for its password, as `ACL SETUSER` and an ACL file write them."""
    return f"on resetkeys ~{prefix}:* resetchannels &{prefix}:* -@all {COMMANDS}"


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, sent once to each server and called by its digest from then on."""

    text: str
    digest: str

    @classmethod
    def of(cls, *parts: str) -> Script:
        """The script that consists of `parts`."""
        text = "\n".join(parts)
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


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
            future.set_exception(_NoScript(words) if kind == "NOSCRIPT" else RedisDown(words))
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


async def connect(server: Server, pushed: Pushed | None = None) -> Pipe:
    """A connection that is signed in and answers. Raises RedisDown; SettingsError for a bad password file."""
    loop, tls, parts = asyncio.get_running_loop(), server.tls(), urlsplit(server.url)
    greeting = server.greeting()
    pipe = Pipe(server.seconds, pushed)
    try:
        async with asyncio.timeout(server.seconds):
            if parts.scheme == "unix":
                await loop.create_unix_connection(lambda: pipe, parts.path)
            else:
                await loop.create_connection(lambda: pipe, str(parts.hostname), parts.port or 6379, ssl=tls)
            await pipe.send(*greeting)
            # HELLO is answered while the data is still being loaded; this is not.
            await pipe.send("PING")
    except (OSError, TimeoutError, RedisDown) as problem:
        pipe.end("not signed in")
        raise RedisDown(str(problem) or f"no connection within {server.seconds:g} s") from None
    except BaseException:
        pipe.end("not signed in")
        raise
    return pipe


class RedisLink:
    """The connection for commands. While there is none, every call fails at once, and one is tried for."""

    def __init__(self, server: Server, degraded: Callable[[bool], object]) -> None:
        """`degraded` is told when the server stops to answer, and when it does again."""
        self._server = server
        self._degraded = degraded
        self._pipe: Pipe | None = None
        self._why = "not connected"
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self.restored: list[Callable[[], object]] = []
        """Called each time that the server answers again."""

    @property
    def up(self) -> bool:
        """Whether the server answered last time."""
        return self._pipe is not None

    async def open(self) -> None:
        """Keep a connection from now on. Returns after the first attempt, whatever came of it."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        await self._tried.wait()

    async def close(self) -> None:
        """Give the connection up for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def send(self, *words: Word) -> asyncio.Future[Any]:
        """Like `call`, for who does not want to wait: a future. Raises RedisDown when there is no connection."""
        if self._pipe is None:
            raise RedisDown(self._why)
        return self._pipe.send(*words)

    async def call(self, *words: Word) -> Any:
        """The answer to one command. Raises RedisDown within the server's `seconds`."""
        return await self.send(*words)

    async def run(self, script: Script, keys: Sequence[str], words: Sequence[Word]) -> Any:
        """What a script returns, atomically carried out. Raises RedisDown."""
        call = ("EVALSHA", script.digest, len(keys), *keys, *words)
        try:
            return await self.send(*call)
        except _NoScript:  # the first time on this server, or since it was emptied
            await self.call("SCRIPT", "LOAD", script.text)
            return await self.call(*call)

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        attempt = 0
        while True:
            began = clock()
            try:
                await self._once()
            except Exception as problem:  # a password file that is missing today may be there tomorrow
                self._fell(str(problem))
            attempt = 0 if clock() - began > _STEADY else attempt + 1
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])

    async def _once(self) -> None:
        pipe = await connect(self._server)
        try:
            self._rose(pipe)
            self._fell(await asyncio.shield(pipe.lost))
        finally:
            pipe.end("closed")

    def _rose(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._tried.set()
        self._degraded(False)
        _log.info("redis_up")
        for restored in self.restored:
            restored()

    def _fell(self, why: str) -> None:
        if self._pipe is not None or not self._tried.is_set():
            _log.warning("redis_down", extra={"why": why})
            self._degraded(True)
        self._pipe, self._why = None, why
        self._tried.set()


class _NoScript(RedisDown):
    """The server does not know the script."""


_MORE: Final = object()
"""What hiredis returns when an answer is not complete yet."""
