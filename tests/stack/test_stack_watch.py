"""A stack without containers where the machine has Prometheus: it is watched, and shows administrators how it is."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from stack import embedded_watch, unix_user
from stack.place import Place
from stack.problem import Problem
from tests.monitoring import programs
from tests.patience import SCALE, until
from tests.stack.conftest import NewStack
from tests.stack.running import RunningStack

LOOPBACK = "0100007F"
PORT, URL = embedded_watch.PORT, embedded_watch.URL


def asked(stack: RunningStack, path: str, token: str) -> Any:
    """What an administrator's script gets through the edge."""
    connection = http.client.HTTPSConnection("localhost", stack.https_port, context=stack.tls, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)
    finally:
        connection.close()


def parts_up(stack: RunningStack, token: str) -> set[str]:
    """The parts that answer Prometheus, by the chart that `/ops` draws."""
    time.sleep(0.5)  # the edge lets nobody ask fifty times a second
    series = asked(stack, "/api/ops/panels/parts?window=15m", token)["series"]
    return {one["label"] for one in series if one["values"][-1] == 1}


def test_administrators_see_the_stack(stack: RunningStack) -> None:
    """App, edge, the host's facts and Prometheus itself are scraped, and nothing that is not there is missed."""
    stack.user("ops-admin", "--admin")
    token = stack.token("ops-admin")
    every = {"app", "edge", "stack", "prometheus"}
    until(lambda: parts_up(stack, token) == every, "all parts are scraped", 75 * SCALE)
    shown = asked(stack, "/api/ops/panels/connections?window=6h", token)
    assert shown["series"][0]["values"][-1] is not None
    for alert in asked(stack, "/api/ops/alerts", token)["alerts"]:
        assert 0 < alert["since"] <= time.time()


@pytest.mark.parametrize("program", ["prometheus", "carrier"])
def test_nobody_else_reaches_them(stack: RunningStack, program: str) -> None:
    """They listen on 127.0.0.1 alone, and run as users who are not root, Prometheus as one who is nobody else."""
    port = stack.prometheus_port + (program == "carrier")
    lines = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert [one for one in lines if one.endswith(f":{port:04X}")] == [f"{LOOPBACK}:{port:04X}"]
    owner = unix_user.for_watch() if program == "prometheus" else unix_user.for_edge()
    status = Path(f"/proc/{stack.pid(program)}/status").read_text()
    assert f"Uid:\t{owner.uid}\t{owner.uid}" in status
    assert owner.uid != 0
    assert unix_user.for_watch().groups == (unix_user.for_watch().gid,)


@pytest.mark.parametrize("beside", [0, 1])
def test_a_taken_port_is_said_before_anything_is_changed(another: NewStack, beside: int) -> None:
    """As with the edge's ports; so for the carrier's, which is the one above."""
    with another() as mine, socket.create_server(("127.0.0.1", mine.prometheus_port + beside)):
        said = mine.make("up", check=False).stderr
        assert "Nothing was changed" in said
        assert f"Port {mine.prometheus_port + beside} is taken" in said and f"make up {PORT}=" in said


def test_another_one_may_be_named_or_none(tmp_path: Path) -> None:
    """Then none is supervised, and the app is told nothing but what the operator says."""
    place = Place(tmp_path, tmp_path)
    assert embedded_watch.words(place, {})
    assert embedded_watch.for_app({PORT: "9999"}) == {URL: "http://127.0.0.1:9999"}
    for url in ("", "http://127.0.0.1:9090"):
        assert embedded_watch.words(place, {URL: url}) == ()
        assert embedded_watch.for_app({URL: url}) == {}
        assert embedded_watch.problems(place, {URL: url}) == []


def test_ports_have_room_for_both() -> None:
    """The highest has the carrier below it; what is no port is refused by its name."""
    assert embedded_watch.carrier_port({}) == 9091
    assert embedded_watch.carrier_port({PORT: "65535"}) == 65534
    with pytest.raises(Problem, match=PORT):
        embedded_watch.own_port({PORT: "65536"})


def test_the_configuration_is_one(tmp_path: Path) -> None:
    """Prometheus's own checker takes it, rules included."""
    place = Place(Path(embedded_watch.__file__).parents[1], tmp_path)
    (tmp_path / "prometheus.yml").write_text(embedded_watch.config(place, {}))
    done = programs.run("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS: 5 rule files found" in done.stdout
