"""What `/ops` asks: who may, what comes back, and what is said where no Prometheus answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app import prometheus as module
from app.charts import WINDOWS
from monitoring.catalogue import GROUPS, PANELS
from monitoring.panel import WINDOW
from tests.patience import SCALE
from tests.unit.party import Party, party, problem

PANEL = "/api/ops/panels/refusals?window=15m"
ROUTES = ["/api/ops/catalogue", PANEL, "/api/ops/alerts"]
ASKING = [PANEL, "/api/ops/alerts"]


@dataclass
class Teller:
    """Stands where Prometheus does: what it answers, and what it was asked."""

    address: str = ""
    body: bytes | None = None
    """Sent instead of an answer that makes sense."""
    status: int = 200
    tracks: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it."""
    busy: int = 0
    busiest: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, target: str) -> bytes:
        """Count, wait, and make sense or not."""
        parts = urlsplit(target)
        with self.turn:
            self.asked.append((parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}))
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
        self.release.wait(10 * SCALE)
        with self.turn:
            self.busy -= 1
        if self.body is not None:
            return self.body
        data: dict[str, Any] = {"resultType": "matrix", "result": self.tracks}
        data = {"alerts": self.alerts} if parts.path.endswith("/alerts") else data
        return json.dumps({"status": "success", "data": data}).encode()


@contextlib.contextmanager
def teller() -> Iterator[Teller]:
    """One on a port of its own."""
    state = Teller()
    state.release.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                body = state.answer(self.path)
                self.send_response(state.status)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        state.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield state
        finally:
            state.release.set()
            server.shutdown()


@pytest.fixture
def told() -> Iterator[Teller]:
    with teller() as state:
        yield state


@pytest.fixture
async def server(tmp_path: Path, told: Teller) -> AsyncIterator[Party]:
    async with party(tmp_path, prometheus_url=told.address) as server:
        await server.account("admin", admin=True)
        await server.account("alice")
        yield server


@pytest.fixture
async def admin(server: Party) -> httpx.AsyncClient:
    return await server.signed_in("admin")


@pytest.mark.parametrize("path", ROUTES)
async def test_only_administrators(server: Party, told: Teller, path: str) -> None:
    """Each route by itself refuses strangers and other users, and asks nobody anything."""
    client = await server.signed_in("alice")
    assert problem(await client.get(path)) == (403, "admin_required")
    async with server.client() as stranger:
        assert problem(await stranger.get(path)) == (401, "credential_missing")
    assert told.asked == []


@pytest.mark.parametrize("path", ROUTES)
async def test_a_script_reads_them_by_token(server: Party, admin: httpx.AsyncClient, path: str) -> None:
    """As on every other route, a token does instead of the cookie."""
    made = (await admin.post("/api/tokens")).json()["access_token"]
    async with server.client(origin=None, Authorization=f"Bearer {made}") as script:
        answer = await script.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


async def test_the_catalogue_is_the_catalogue(admin: httpx.AsyncClient) -> None:
    """Every panel in its group, and no query."""
    answer = await admin.get("/api/ops/catalogue")
    groups = answer.json()["groups"]
    assert [(group["title"], [panel["name"] for panel in group["panels"]]) for group in groups] == [
        (group.title, [panel.name for panel in group.panels]) for group in GROUPS
    ]
    assert answer.json()["windows"] == ["15m", "6h", "7d"] == [*WINDOWS]
    panels = {panel["name"]: panel for group in groups for panel in group["panels"]}
    assert panels["delivery"] == {
        "name": "delivery",
        "title": "Delivery",
        "tells": "From stored to written.",
        "kind": "lines",
        "unit": "seconds",
        "levels": {"warn": 0.25, "bad": 0.5},
    }
    assert panels["refusals"]["levels"] is None
    assert "chat_" not in answer.text


@pytest.mark.parametrize("window", WINDOWS)
async def test_a_chart_has_all_series_on_the_same_times(admin: httpx.AsyncClient, told: Teller, window: str) -> None:
    """At most 200 points, the newest just now; what is missing or no number is null."""
    chosen = WINDOWS[window]
    end = chosen.times(time.time())[-1] + 15
    ends = [end - 15, end]  # the clock may turn while the test asks
    told.tracks = [
        {"metric": {"reason": "ip_rate"}, "values": [[one, "1.5"] for one in ends]},
        {"metric": {"reason": "draining"}, "values": [[one - chosen.step, "NaN"] for one in ends]},
        {"metric": {"reason": "node_full"}, "values": [[one, "+Inf"] for one in ends]},
    ]
    chart = (await admin.get(f"/api/ops/panels/refusals?window={window}")).json()
    assert set(chart) == {"name", "window", "step", "times", "series"}
    assert (chart["name"], chart["window"], chart["step"]) == ("refusals", window, chosen.step)
    times = chart["times"]
    assert len(times) <= 200
    assert {after - before for before, after in itertools.pairwise(times)} == {chosen.step}
    assert 0 <= time.time() - times[-1] < 30 and times[-1] - times[0] == chosen.seconds
    labels = ["ip_rate", "draining", "node_full"]
    assert [one["label"] for one in chart["series"]] == labels
    assert {len(one["values"]) for one in chart["series"]} == {len(times)}
    assert [one["values"][-1] for one in chart["series"]] == [1.5, None, None]
    assert {value for one in chart["series"] for value in one["values"][:-2]} <= {None, 1.5}


async def test_a_panel_asks_all_its_queries_and_no_others(admin: httpx.AsyncClient, told: Teller) -> None:
    """With a window for rates that leaves no gap between two points; whatever the client adds is ignored."""
    told.tracks = [{"metric": {}, "values": []}]
    chart = (await admin.get("/api/ops/panels/delivery?window=7d&query=up&step=1&time=5")).json()
    assert [one["label"] for one in chart["series"]] == ["p50", "p99"]
    assert {path for path, _ in told.asked} == {"/api/v1/query_range"}
    assert {query["query"] for _, query in told.asked} == {
        query.text.replace(WINDOW, "3615s") for query in PANELS["delivery"].queries
    }
    assert {query["step"] for _, query in told.asked} == {"3600"}
    assert len(told.asked) == 2


async def test_a_series_without_a_name_has_the_panels(admin: httpx.AsyncClient, told: Teller) -> None:
    """As where a query has no legend."""
    told.tracks = [{"metric": {"__name__": "up"}, "values": []}]
    chart = (await admin.get("/api/ops/panels/connections?window=15m")).json()
    assert [one["label"] for one in chart["series"]] == ["Connections"]


async def test_too_many_series_are_left_out_and_counted(admin: httpx.AsyncClient, told: Teller) -> None:
    """Fifty are shown."""
    told.tracks = [{"metric": {"reason": f"r{number}"}, "values": []} for number in range(53)]
    chart = (await admin.get(PANEL)).json()
    assert (len(chart["series"]), chart["left_out"]) == (50, 3)


@pytest.mark.parametrize("window", ["", "?window=", "?window=1m", "?window=15m%20", "?window=15M"])
async def test_other_windows_are_refused(admin: httpx.AsyncClient, told: Teller, window: str) -> None:
    """Only those of the catalogue."""
    assert problem(await admin.get(f"/api/ops/panels/refusals{window}")) == (422, "invalid")
    assert told.asked == []


@pytest.mark.parametrize("name", ["up", "Refusals", "refusals%00", "x" * 1000, "%7B%7D"])
async def test_other_panels_are_not_found(admin: httpx.AsyncClient, told: Teller, name: str) -> None:
    """A name is looked up, and never part of a question."""
    assert problem(await admin.get(f"/api/ops/panels/{name}?window=15m")) == (404, "not_found")
    assert told.asked == []


async def test_alerts_that_fire(admin: httpx.AsyncClient, told: Teller) -> None:
    """Those that are only pending are not among them; the oldest comes first."""

    def alert(name: str, state: str, since: str, **place: str) -> dict[str, Any]:
        labels = {"alertname": name, "severity": "page", "part": "store", "job": "x", **place}
        annotations = {"summary": f"{name}!", "description": "d", "runbook": f"docs/{name}.md"}
        return {"labels": labels, "annotations": annotations, "state": state, "activeAt": since, "value": "1e+00"}

    told.alerts = [
        alert("Late", "firing", "2026-01-01T00:00:05.123456789Z", mountpoint="/var", instance="db1:9100"),
        alert("Waiting", "pending", "2026-01-01T00:00:00Z"),
        alert("Early", "firing", "2026-01-01T01:00:00+01:00"),
    ]
    answer = (await admin.get("/api/ops/alerts")).json()
    assert answer == {
        "alerts": [
            {
                "name": name,
                "severity": "page",
                "part": "store",
                "where": where,
                "summary": f"{name}!",
                "runbook": f"docs/{name}.md",
                "since": since,
            }
            for name, where, since in (("Early", [], 1767225600.0), ("Late", ["db1:9100", "/var"], 1767225605.123456))
        ]
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"status":"error","error":"canary"}',
        b'{"status":"success"}',
        b'{"status":"success","data":{"resultType":"vector","result":[]}}',
        b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[["x","y"]]}]}}',
        b'{"status":"success","data":{"alerts":[{"state":"firing"}]}}',
        b"[" * 100_000,
        b" " * (module.MAX_BYTES + 1),
    ],
    ids=["nothing", "page", "list", "error", "no data", "vector", "no numbers", "no alert", "deep", "large"],
)
async def test_nonsense_is_refused(admin: httpx.AsyncClient, told: Teller, body: bytes) -> None:
    """Whatever listens there; nothing of what it says comes back."""
    told.body = body
    for path in ASKING:
        answer = await admin.get(path)
        assert problem(answer) == (503, "unwatched")
        assert answer.json()["retry_after"] > 0
        assert "canary" not in answer.text


@pytest.mark.parametrize("status", [204, 302, 400, 503])
async def test_another_status_is_refused(admin: httpx.AsyncClient, told: Teller, status: int) -> None:
    """A redirect is not followed."""
    told.status = status
    for path in ASKING:
        assert problem(await admin.get(path)) == (503, "unwatched")
    assert len(told.asked) == len(ASKING)


async def test_silence_has_an_end(
    admin: httpx.AsyncClient, told: Teller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All who wait are told together once the first has waited in vain, however many they are; one line says so."""
    monkeypatch.setattr(module, "PATIENCE", 0.5 * SCALE)
    monkeypatch.setattr(module, "PAUSE", 60.0)
    told.release.clear()
    began = time.monotonic()
    paths = [f"/api/ops/panels/{name}?window={window}" for name in PANELS for window in WINDOWS]
    answers = await asyncio.gather(*(admin.get(path) for path in paths))
    assert {problem(answer) for answer in answers} == {(503, "unwatched")}
    assert time.monotonic() - began < 5 * SCALE
    assert told.busiest == len(told.asked) == module.AT_ONCE
    assert caplog.messages.count("prometheus_unreachable") == 1


async def test_nobody_listens(tmp_path: Path) -> None:
    """And none is configured: the catalogue is there all the same, and tells the one from the other."""
    with teller() as gone:
        address = gone.address
    for folder, url in (("gone", address), ("none", "")):
        (tmp_path / folder).mkdir()
        async with party(tmp_path / folder, prometheus_url=url) as server:
            await server.account("admin", admin=True)
            admin = await server.signed_in("admin")
            for path in ASKING:
                assert problem(await admin.get(path)) == (503, "unwatched")
            assert problem(await admin.get("/api/ops/panels/up?window=15m")) == (404, "not_found")
            catalogue = await admin.get("/api/ops/catalogue")
            assert (catalogue.status_code, catalogue.json()["watched"]) == (200, bool(url))


async def test_it_recovers(server: Party, admin: httpx.AsyncClient, told: Teller) -> None:
    """A failure is forgotten after the few seconds for which an answer counts."""
    clock = server.backends.watch._charts
    told.body = b"nonsense"
    assert problem(await admin.get(PANEL)) == (503, "unwatched")
    told.body = None
    assert problem(await admin.get(PANEL)) == (503, "unwatched")
    clock._clock = lambda: time.monotonic() + 6
    assert (await admin.get(PANEL)).status_code == 200


async def test_many_pages_cost_what_one_does(admin: httpx.AsyncClient, told: Teller) -> None:
    """Whoever asks while somebody else does, or a little later, gets the same answer; another window is another one."""
    told.release.clear()
    asking = [asyncio.create_task(admin.get(path)) for path in (*ASKING, *ASKING) for _ in range(5)]
    await asyncio.sleep(0.1)
    told.release.set()
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    for path in ASKING:
        assert (await admin.get(path)).status_code == 200
    assert len(told.asked) == len(ASKING)
    assert (await admin.get(PANEL.replace("15m", "6h"))).status_code == 200
    assert len(told.asked) == len(ASKING) + 1


async def test_at_most_four_questions_at_once(server: Party, admin: httpx.AsyncClient, told: Teller) -> None:
    """All panels together; and only the answers of the last seconds are kept."""
    answers = await asyncio.gather(*(admin.get(f"/api/ops/panels/{name}?window=6h") for name in PANELS))
    assert {answer.status_code for answer in answers} == {200}
    assert len(told.asked) == sum(len(panel.queries) for panel in PANELS.values())
    assert told.busiest <= module.AT_ONCE
    recent = server.backends.watch._charts
    recent._clock = lambda: time.monotonic() + 60
    await admin.get(PANEL)
    assert len(recent._asked) == 1


async def test_values_are_plain_numbers(admin: httpx.AsyncClient, told: Teller) -> None:
    """JSON has no NaN and no infinity."""
    end = WINDOWS["15m"].times(time.time())[-1]
    words = ["NaN", "+Inf", "-Inf", "0", "1e-9", "12345678901"]
    told.tracks = [
        {"metric": {"reason": word}, "values": [[end - 15 * step, word] for step in range(9)]} for word in words
    ]

    def never(word: str) -> float:
        raise AssertionError(word)

    chart = json.loads((await admin.get(PANEL)).text, parse_constant=never)
    found = {one["label"]: {value for value in one["values"] if value is not None} for one in chart["series"]}
    assert found == {word: ({float(word)} if math.isfinite(float(word)) else set()) for word in words}


async def test_the_page_is_served(server: Party) -> None:
    """Like the chat's own: to anybody, revalidated, from files that are read at start."""
    async with server.client(origin=None) as stranger:
        page, again = await stranger.get("/ops"), await stranger.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        own = ("etag", "content-length", "x-request-id")
        assert {name: page.headers[name] for name in page.headers if name not in own} == {
            name: again.headers[name] for name in again.headers if name not in own
        }
        known = await stranger.get("/ops", headers={"If-None-Match": page.headers["etag"]})
        assert known.status_code == 304
    async with server.client(origin=None, Host="elsewhere.example") as lost:
        assert problem(await lost.get("/ops")) == (400, "host_unknown")
