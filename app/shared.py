"""Limits, presence and delivery: what several processes share over Redis, and one keeps to itself."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Protocol

from app.broker import Broker
from app.broker_memory import MemoryBroker
from app.broker_redis import Heard, RedisBroker
from app.limiter import Limiter, Rate
from app.limiter_memory import MemoryLimiter
from app.limiter_redis import RedisLimiter
from app.metrics import Metrics
from app.nodes import Nodes, OneNode
from app.nodes_redis import RedisNodes
from app.presence import Caps, Presence
from app.presence_memory import MemoryPresence
from app.presence_redis import RedisPresence
from app.redis_link import RedisLink
from app.redis_server import Server
from app.resync import Resync
from app.settings import Settings


class Shared(Protocol):
    """The four seams, and the connection behind them."""

    @property
    def limiter(self) -> Limiter:
        """Who may do how much."""

    @property
    def presence(self) -> Presence:
        """Who is connected."""

    @property
    def nodes(self) -> Nodes:
        """Which hosts there are."""

    @property
    def broker(self) -> Broker:
        """How everybody learns what was stored."""

    async def open(self) -> None:
        """Begin; returns whether there is a server or not."""

    async def close(self) -> None:
        """Give everything back."""

    def problem(self) -> str | None:
        """Why new connections cannot be served now."""


class Alone:
    """Everything in this process."""

    def __init__(self, settings: Settings) -> None:
        self.limiter = MemoryLimiter(_throttles(settings), settings.cooldown_seconds, settings.cooldown_max_seconds)
        self.presence = MemoryPresence(_caps(settings))
        self.nodes = OneNode(_node(settings), lambda: self.presence.connections)
        self.broker = MemoryBroker()

    async def open(self) -> None:
        """See Shared."""

    async def close(self) -> None:
        """See Shared."""

    def problem(self) -> str | None:
        """See Shared."""
        return None


class Together:
    """Over Redis or Valkey."""

    def __init__(self, settings: Settings, metrics: Metrics, resync: Resync) -> None:
        server = Server(
            settings.redis_url,
            settings.redis_user,
            settings.redis_password_file,
            settings.redis_ca_file,
            settings.redis_timeout_seconds,
        )
        prefix, node = settings.redis_prefix, _node(settings)
        process = f"{node}-{os.getpid()}-{secrets.token_hex(4)}"
        self._metrics = metrics
        self._resync = resync
        self._deaf = True
        self._link = RedisLink(server, lambda down: metrics.degraded.labels("redis").set(down))
        self.presence = RedisPresence(
            self._link, prefix, _caps(settings), node, process, settings.workers, counted=metrics.processes.set
        )
        self.nodes = RedisNodes(self._link, prefix, node)
        self.limiter = RedisLimiter(
            self._link,
            prefix,
            _throttles(settings),
            settings.cooldown_seconds,
            settings.cooldown_max_seconds,
            lambda: self.presence.processes,
            metrics.limiter_seconds.labels("redis").observe,
        )
        heard = Heard(
            resync.want,
            metrics.broker_lag.observe,
            lambda what: metrics.broker_errors.labels(what).inc(),
            self._hears_not,
        )
        self.broker = RedisBroker(self._link, server, prefix, process, heard)

    async def open(self) -> None:
        """The place among the processes comes first: without it no lease is granted."""
        await self._link.open()
        await self.presence.renew([])
        await self.broker.open()

    async def close(self) -> None:
        """In the other order."""
        await self.broker.close()
        await self.presence.close()
        await self._link.close()

    def problem(self) -> str | None:
        """See Shared."""
        if not self._link.up:
            return "Redis does not answer"
        return "what other processes publish does not arrive" if self._deaf else None

    def _hears_not(self, yes: bool) -> None:
        self._deaf = yes
        self._metrics.degraded.labels("broker").set(yes)
        self._resync.cut_off(yes)


def share(settings: Settings, metrics: Metrics, resync: Resync) -> Shared:
    """By REDIS_URL. Opens nothing yet."""
    return Together(settings, metrics, resync) if settings.redis_url else Alone(settings)


def _node(settings: Settings) -> str:
    return settings.node or socket.gethostname()


def _throttles(settings: Settings) -> Rate:
    return Rate(settings.throttles_per_minute / 60, settings.throttles_per_minute)


def _caps(settings: Settings) -> Caps:
    return Caps(
        per_user=settings.connections_per_user,
        per_address=settings.connections_per_address,
        per_node=settings.connections_per_node,
        per_room=settings.connections_per_room,
    )
