"""The line to a Redis or Valkey server: a connection that is made anew by itself, and the scripts called over it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.redis_pipe import NoScript, Pipe, RedisDown, Word
from app.redis_server import Server, connect

_log = logging.getLogger("portcullis.redis")

_PAUSES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds between attempts to connect; the last one repeats."""
_STEADY: Final = 5.0
"""Seconds that a connection has to last for the next attempt to come soon again."""

COMMANDS: Final = (
    "+ping +publish +subscribe +evalsha +script|load "
    "+time +get +mget +set +del +exists +pexpire +zadd +zcount +zrange +zrem +zremrangebyscore +zscore"
)
"""All that the chat sends, and all that its scripts call: what its ACL user may do, and nothing else."""


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
        except NoScript:  # the first time on this server, or since it was emptied
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
