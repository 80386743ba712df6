"""gunicorn's worker: uvicorn with our wire, and a drain before it goes."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from types import FrameType
from typing import Any, ClassVar

from gunicorn.arbiter import Arbiter
from uvicorn.config import Config
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from app import inner
from app.main import Portcullis
from app.settings import load
from app.wire import LINGER, Wire

_settings = load()
# A thread of the store hands the interpreter back to the sockets ten times as soon as by default. While 60 clients come
# back at once, p99 of everybody else's deliveries is 12 ms and not 24 (medians of eight runs of `herd`, four workers).
sys.setswitchinterval(0.0005)
_log = logging.getLogger("portcullis.worker")
_STEP = 0.05


def log_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For what nobody awaited: asyncio's own handler would print the exception, and with it what a client sent."""
    _log.error("task_failed", exc_info=context.get("exception"))


class DrainingServer(Server):
    """The first signal begins the drain; the server stops when it is over. A second one stops it at once."""

    def __init__(self, config: Config, portcullis: Portcullis) -> None:
        super().__init__(config)
        self._portcullis = portcullis
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, which would speak TLS on all sockets or on none."""
        inner_sockets = [one for one in sockets or () if inner.is_inner(one, _settings)]
        await super().startup([one for one in sockets or () if one not in inner_sockets])
        if inner_sockets and _settings.inner_tls is not None:
            context, loop = inner.context(_settings.inner_tls), asyncio.get_running_loop()
            self.servers += [
                await loop.create_server(
                    self._protocol,
                    sock=one,
                    ssl=context,
                    ssl_handshake_timeout=inner.HANDSHAKE_SECONDS,
                    backlog=self.config.backlog,
                )
                for one in inner_sockets
            ]

    def _protocol(self) -> asyncio.Protocol:
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(self.config, self.server_state, self.lifespan.state)
        return made

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal; uvicorn alone would close every socket in the same instant."""
        if self._draining is not None or not self.started:
            super().handle_exit(sig, frame)
            return
        # Not among the captured signals: uvicorn would raise it again at the end, and a drained worker exits with 0.
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._draining = loop.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            await self._portcullis.backends.drain.run()
            await self._parted()
        finally:
            self.should_exit = True

    async def _parted(self) -> None:
        """Let the peers read their close frames and answer them: no longer than each of them may take."""
        for _ in range(round(LINGER / _STEP)):
            if not any(isinstance(one, Wire) for one in self.server_state.connections):
                break
            await asyncio.sleep(_STEP)


class Worker(UvicornWorker):  # type: ignore[misc]
    """What uvicorn-worker does not pass by itself: the frame cap, no deflate, pings, no proxy headers, no Server."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": "httptools",
        "ws": Wire,
        "ws_max_size": _settings.frame_bytes,
        "ws_per_message_deflate": False,
        "ws_ping_interval": _settings.ping_seconds,
        "ws_ping_timeout": _settings.pong_seconds,
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "timeout_graceful_shutdown": 5,
        "lifespan": "on",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("uvicorn.error", "uvicorn.access"):
            # At INFO uvicorn logs each handshake with its query, where tokens are.
            logging.getLogger(name).setLevel(logging.WARNING)

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(log_failure)
        self.config.app = self.wsgi
        server = DrainingServer(self.config, self.wsgi)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
