"""Throttles, counted against their users: who goes on regardless is closed everywhere and cools down."""

from __future__ import annotations

import logging

from app.broker import Broker
from app.limiter import Limiter
from app.metrics import Metrics
from app.model import Revocation, RevocationKind, UserName

_security = logging.getLogger("portcullis.security")


class Floods:
    """One per process, for what is throttled on the socket and over HTTP alike."""

    def __init__(self, limiter: Limiter, broker: Broker, metrics: Metrics) -> None:
        self._limiter = limiter
        self._broker = broker
        self._metrics = metrics

    async def throttled(self, user: UserName, limit: str) -> None:
        """A limit has thrown back something of the user's."""
        self._metrics.messages_throttled.labels(limit).inc()
        seconds = await self._limiter.strike(user)
        if seconds > 0:
            _security.warning("user_cooled_down", extra={"user": user, "seconds": seconds})
            await self._broker.revoke(Revocation(RevocationKind.USER, user, "flood"))
