"""Prometheus, asked over its HTTP API. Whatever is wrong with it or with its answers is one exception."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import AwareDatetime, BaseModel, Field

from app import bounded

AT_ONCE: Final = 4
"""Questions that it is asked at the same time; the others wait."""
PATIENCE: Final = 3.0
"""Seconds for an answer."""
PAUSE: Final = 2.0
"""Seconds in which one that did not answer is not asked: whoever waits is told at once, not one after the other."""
MAX_BYTES: Final = 8 << 20
_DETAIL_CHARACTERS: Final = 200
_LOG = logging.getLogger("portcullis.prometheus")

Data = TypeVar("Data")


class Unwatched(Exception):  # noqa: N818 - nothing of ours went wrong
    """There is no Prometheus, it does not answer in time, or what it says is not what it was asked for."""


class Track(BaseModel):
    """One series of a range query: its labels, and (Unix seconds, value) in the order of time."""

    metric: dict[str, str]
    values: list[tuple[float, float]] = []


class Alert(BaseModel):
    """An alert that is pending or fires, since when its condition holds."""

    labels: dict[str, str]
    annotations: dict[str, str]
    state: str
    active_at: AwareDatetime = Field(alias="activeAt")


class _Matrix(BaseModel):
    kind: Literal["matrix"] = Field(alias="resultType")
    result: list[Track]


class _Alerts(BaseModel):
    alerts: list[Alert]


class _Answer(BaseModel, Generic[Data]):
    status: Literal["success"]
    data: Data


class Prometheus:
    """One server, at `http://HOST:PORT`. Every question raises Unwatched."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._clock = clock
        self._threads = ThreadPoolExecutor(AT_ONCE, "prometheus")
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._silent_until = float("-inf")
        self._well = True

    async def tracks(self, query: str, times: range) -> list[Track]:
        """The series of a query at these Unix seconds."""
        asked = {"query": query, "start": times[0], "end": times[-1], "step": times.step, "timeout": f"{PATIENCE:g}s"}
        return (await self._ask(_Answer[_Matrix], f"/api/v1/query_range?{urlencode(asked)}")).data.result

    async def alerts(self) -> list[Alert]:
        """All that are pending or fire."""
        return (await self._ask(_Answer[_Alerts], "/api/v1/alerts")).data.alerts

    def close(self) -> None:
        """Ask no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, model: type[_Answer[Data]], target: str) -> _Answer[Data]:
        async with self._turns:
            if self._clock() < self._silent_until:
                raise Unwatched("it did not answer a moment ago")
            asking = asyncio.get_running_loop().run_in_executor(self._threads, _get, self._address, target, model)
            try:
                answer = await asyncio.wait_for(asking, PATIENCE)
            except (OSError, HTTPException) as error:  # TimeoutError is an OSError
                self._silent_until = self._clock() + PAUSE
                raise self._ill(error) from error
            except ValueError as error:  # pydantic's is one
                raise self._ill(error) from error
            self._well = True
            return answer

    def _ill(self, error: Exception) -> Unwatched:
        """Logged when it begins: a page that is left open would repeat it for as long as it lasts."""
        detail = (str(error) or type(error).__name__)[:_DETAIL_CHARACTERS]
        if self._well:
            _LOG.warning("prometheus_unreachable", extra={"detail": detail})
        self._well = False
        return Unwatched(detail)


def _get(address: tuple[str, int], target: str, model: type[_Answer[Data]]) -> _Answer[Data]:
    """Runs in a thread, for at most twice PATIENCE. Raises OSError, HTTPException or ValueError."""
    connection = HTTPConnection(*address, timeout=PATIENCE)
    try:
        return model.model_validate_json(_content(connection, target))
    finally:
        connection.close()


def _content(connection: HTTPConnection, target: str) -> bytes:
    deadline = time.monotonic() + PATIENCE
    connection.request("GET", target, headers={"Accept": "application/json"})
    # Where the server says that it will close, the connection's own close() leaves this open.
    with connection.getresponse() as answer:
        if answer.status != HTTPStatus.OK:
            raise ValueError(f"it answers with status {answer.status}")
        return bounded.read(answer, MAX_BYTES, deadline)
