"""What `/ops` asks the app for, answered by a real Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.charts import SCRAPE_SECONDS
from monitoring.alerts import FOLDER
from monitoring.catalogue import PANELS
from tests.monitoring.watch import Prometheus
from tests.patience import PATIENCE
from tests.unit.party import party

WINDOWS = {"15m": 61, "6h": 181, "7d": 169}
"""How many points a chart has."""


@pytest.fixture
async def admin(tmp_path: Path, watched: Prometheus) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator of an app that may ask it."""
    async with party(tmp_path, prometheus_url=f"http://{watched.address}") as server:
        await server.account("admin", admin=True)
        yield await server.signed_in("admin")


async def chart(admin: httpx.AsyncClient, name: str, window: str) -> Any:
    """A chart, once it is well formed."""
    answer = await admin.get(f"/api/ops/panels/{name}?window={window}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["name"], found["window"], len(found["times"])) == (name, window, WINDOWS[window])
    assert found["times"] == list(range(found["times"][0], found["times"][-1] + 1, found["step"]))
    assert 0 <= time.time() - found["times"][-1] < 30
    for one in found["series"]:
        assert one["label"] and len(one["values"]) == WINDOWS[window]
    assert "left_out" not in found
    return found


async def drawn(admin: httpx.AsyncClient, name: str) -> bool:
    """Whether there is a value for each of its queries."""
    found = await chart(admin, name, "15m")
    with_values = [one for one in found["series"] if any(value is not None for value in one["values"])]
    return len(with_values) >= len(PANELS[name].queries)


async def test_every_panel_over_every_window(admin: httpx.AsyncClient) -> None:
    """All are well formed, and the shortest has data after a little talk."""
    for window in ("6h", "7d"):
        await asyncio.gather(*(chart(admin, name, window) for name in PANELS))
    empty = {*PANELS}
    ends = time.monotonic() + 3 * PATIENCE
    while empty:
        assert time.monotonic() < ends, empty
        there = {name: await drawn(admin, name) for name in sorted(empty)}
        empty = {name for name, yes in there.items() if not yes}
        await asyncio.sleep(0.5 if empty else 0)


async def test_alerts_that_fire(admin: httpx.AsyncClient, watched: Prometheus) -> None:
    """Just those that Prometheus says fire, each with what an operator needs."""
    found = (await admin.get("/api/ops/alerts")).json()["alerts"]
    firing = [one for one in watched.api("alerts")["alerts"] if one["state"] == "firing"]
    assert sorted(one["name"] for one in found) == sorted(one["labels"]["alertname"] for one in firing)
    for one in found:
        assert all(one[name] for name in ("severity", "part", "summary", "runbook"))
        assert 0 < one["since"] <= time.time()


def test_the_app_knows_how_often_is_scraped() -> None:
    """Rates over too short a window would be empty."""
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert scraped == f"{SCRAPE_SECONDS}s"
