"""What `/ops` asks for, answered by the containers' own Prometheus, and what that opens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.containers.contained import ContainedStack
from tests.patience import SCALE, until
from tests.stack.ops import answer, asked, parts_up

PARTS = {"app", "edge", "valkey", "postgres", "node", "stack", "prometheus", "alertmanager"}
LISTENING, NAME_SERVER = "0A", "0B00007F:"
"""Only the engine's name server listens in a container of ours that has no port: at 127.0.0.11 (proc(5))."""


@pytest.fixture(scope="module")
def token(contained: ContainedStack) -> str:
    """An administrator's."""
    contained.user("ops-admin", "--admin")
    return contained.token("ops-admin")


def test_administrators_see_the_stack(contained: ContainedStack, token: str) -> None:
    """Every part is scraped, and a chart's newest value is of now."""
    until(lambda: parts_up(contained, token) == PARTS, "all parts are scraped", 75 * SCALE)
    shown = asked(contained, "/api/ops/panels/connections?window=15m", token)
    assert shown["series"][0]["values"][-1] is not None
    assert 0 <= time.time() - shown["times"][-1] < 2 * shown["step"]


def test_everything_in_the_catalogue_is_answered(contained: ContainedStack, token: str) -> None:
    """Each panel over each window, by a Prometheus that knows none of the queries in advance; and the alerts."""
    catalogue = asked(contained, "/api/ops/catalogue", token)
    for group in catalogue["groups"]:
        for panel in group["panels"]:
            time.sleep(0.2)  # as calm as the page
            shown = asked(contained, f"/api/ops/panels/{panel['name']}?window=15m", token)
            assert all(len(one["values"]) == len(shown["times"]) for one in shown["series"]), panel
    for alert in asked(contained, "/api/ops/alerts", token)["alerts"]:
        assert 0 < alert["since"] <= time.time()


def test_nobody_else_sees_it(contained: ContainedStack) -> None:
    """An ordinary account gets a refusal, and no chart."""
    contained.user("ops-nobody")
    status, content = answer(contained, "/api/ops/panels/parts?window=15m", contained.token("ops-nobody"))
    assert (status, content["reason"]) == (403, "admin_required")


def test_who_watches_cannot_call_the_app(contained: ContainedStack) -> None:
    """The app asks Prometheus on their network and listens on none."""
    tables = (Path(f"/proc/{contained.pid('app')}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    lines = [line.split() for table in tables for line in table.splitlines()[1:]]
    listening = [fields[1] for fields in lines if fields[3] == LISTENING]
    assert all(address.startswith(NAME_SERVER) for address in listening), listening
