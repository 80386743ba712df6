"""The way to a Redis or Valkey server: which one, as whom, and, where Sentinels watch over several, which one now."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.redis_pipe import Pipe, Pushed, RedisDown
from app.redis_url import Place, RedisUrl
from app.secret_files import read_secret


@dataclass(frozen=True)
class Server:
    """Where the server is and as whom we speak to it. A password comes from a file that only its owner can read."""

    url: str
    """As REDIS_URL: see `RedisUrl`."""
    user: str = "default"
    password_file: Path | None = None
    """Read again for each connection, so that a new password needs no restart. Sentinels are told the same."""
    ca_file: Path | None = None
    """Who has signed the certificates of server and Sentinels; unset: whom this machine trusts."""
    seconds: float = 0.5
    """Longest wait for an answer, and for a connection."""

    def __post_init__(self) -> None:
        """Raises ValueError for a URL that says too much or too little."""
        _ = self.where

    @cached_property
    def where(self) -> RedisUrl:
        """The URL, understood."""
        return RedisUrl.of(self.url)

    def greeting(self) -> tuple[str | bytes, ...]:
        """RESP3, as our user. Raises SettingsError when the password's file is missing or open to others."""
        if self.password_file is None:
            return ("HELLO", "3")
        return ("HELLO", "3", "AUTH", self.user, read_secret(self.password_file))

    def tls(self) -> ssl.SSLContext | None:
        """TLS 1.2 or later, the server's name checked."""
        if not self.where.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


async def connect(server: Server, pushed: Pushed | None = None) -> Pipe:
    """A connection to the primary that is signed in and answers.

    Raises RedisDown, within the server's `seconds`, or with Sentinels within twice that for each of them; SettingsError
    for a bad password file.
    """
    if not server.where.primary:
        return await _signed_in(server, server.where.places[0], pushed)
    problem = RedisDown("no Sentinel is named")
    for sentinel in server.where.places:
        try:
            return await _signed_in(server, await _primary(server, sentinel), pushed)
        except RedisDown as why:  # this one is gone, or has not yet heard who the primary is now
            problem = why
    raise problem


async def _primary(server: Server, sentinel: Place) -> Place:
    """Where a Sentinel says that the primary is (Redis' guidelines for Sentinel clients)."""
    pipe = await _signed_in(server, sentinel, None)
    try:
        answer = await pipe.send("SENTINEL", "GET-MASTER-ADDR-BY-NAME", server.where.primary)
    finally:
        pipe.end("asked")
    if answer is None:
        raise RedisDown(f"the Sentinel knows no {server.where.primary}")
    host, port = answer
    return host.decode(), int(port)


async def _signed_in(server: Server, place: Place, pushed: Pushed | None) -> Pipe:
    loop, tls, greeting = asyncio.get_running_loop(), server.tls(), server.greeting()
    pipe = Pipe(server.seconds, pushed)
    try:
        async with asyncio.timeout(server.seconds):
            if isinstance(place, str):
                await loop.create_unix_connection(lambda: pipe, place)
            else:
                await loop.create_connection(lambda: pipe, *place, ssl=tls)
            _check(await pipe.send(*greeting))
            # HELLO is answered while the data is still being loaded; this is not.
            await pipe.send("PING")
    except (OSError, TimeoutError, RedisDown) as problem:
        pipe.end("not signed in")
        raise RedisDown(str(problem) or f"no connection within {server.seconds:g} s") from None
    except BaseException:
        pipe.end("not signed in")
        raise
    return pipe


def _check(hello: object) -> None:
    """A replica answers questions, but what it knows may be old; a former primary may not know yet what it is."""
    if isinstance(hello, dict) and hello.get(b"role") == b"replica":
        raise RedisDown("the server is a replica")
