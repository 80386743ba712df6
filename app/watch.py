"""What an administrator sees of the stack: charts of the catalogue's panels, and the alerts that fire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from app.charts import WINDOWS, Chart, chart
from app.prometheus import Alert, Prometheus, Unwatched
from monitoring.panel import Panel

FRESH_SECONDS: Final = 5.0
"""How long an answer is everybody's: many open pages ask Prometheus no more than one."""

Found = TypeVar("Found")


class Watch:
    """Charts and alerts, from the Prometheus at this URL. Everything raises Unwatched, always where there is no URL."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._prometheus = Prometheus(url, clock) if url else None
        self._charts: Recent[Chart] = Recent(clock)
        self._alerts: Recent[list[Alert]] = Recent(clock)

    @property
    def there(self) -> bool:
        """Whether there is a URL."""
        return self._prometheus is not None

    async def chart(self, panel: Panel, window: str) -> Chart:
        """A panel over one of WINDOWS."""
        return await self._charts.get(f"{panel.name} {window}", lambda: self._draw(panel, window))

    async def firing(self) -> list[Alert]:
        """The alerts that fire, the oldest first."""
        return await self._alerts.get("", self._fire)

    def close(self) -> None:
        """Ask no more."""
        self._charts.close()
        self._alerts.close()
        if self._prometheus is not None:
            self._prometheus.close()

    async def _draw(self, panel: Panel, window: str) -> Chart:
        prometheus, chosen = self._there(), WINDOWS[window]
        times = chosen.times(time.time())
        asked = (prometheus.tracks(query.over(chosen.rate), times) for query in panel.queries)
        return chart(panel, times, await asyncio.gather(*asked))

    async def _fire(self) -> list[Alert]:
        found = [alert for alert in await self._there().alerts() if alert.state == "firing"]
        return sorted(found, key=lambda alert: alert.active_at)

    def _there(self) -> Prometheus:
        if self._prometheus is None:
            raise Unwatched("none is configured")
        return self._prometheus


class Recent(Generic[Found]):
    """Answers by name, each asked for once by all who want it within FRESH_SECONDS, a failure too. No more are kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked: dict[str, tuple[float, asyncio.Task[Found]]] = {}

    async def get(self, name: str, ask: Callable[[], Coroutine[Any, Any, Found]]) -> Found:
        """The answer; whoever is cancelled while waiting takes it from nobody else."""
        self._forget()
        if name not in self._asked:
            self._asked[name] = (self._clock(), asyncio.create_task(ask()))
        return await asyncio.shield(self._asked[name][1])

    def close(self) -> None:
        """Give up what is being asked."""
        for _, task in self._asked.values():
            task.cancel()

    def _forget(self) -> None:
        """What is still being asked stays, however long it takes."""
        oldest = self._clock() - FRESH_SECONDS
        self._asked = {
            name: (begun, task) for name, (begun, task) in self._asked.items() if begun > oldest or not task.done()
        }
