"""A stack without containers where the machine has Prometheus: it is watched, and shows administrators how it is."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import embedded_watch, health, packages, supervision, unix_user
from stack.place import Place
from stack.problem import Problem
from tests.monitoring import programs
from tests.patience import SCALE, THOROUGH, until
from tests.stack.conftest import NewStack
from tests.stack.ops import answer, asked, parts_up
from tests.stack.running import RunningStack, new_stack

LOOPBACK = "0100007F"
PORT, URL = embedded_watch.PORT, embedded_watch.URL


@pytest.fixture(scope="module")
def watched(stack: RunningStack) -> Iterator[RunningStack]:
    """A stack with its Prometheus, shared by this file: leave it healthy."""
    with new_stack(seed=stack.state, watched=True) as one:
        one.up()
        yield one


def no_charts(said: str) -> str:
    """Why there are none, in what `make up` or `make status` prints."""
    (line,) = (line for line in said.splitlines() if line.split()[:2] in (["No", "charts"], ["no", "charts"]))
    return line


def test_status_names_them(watched: RunningStack) -> None:
    """They are programs like the others."""
    said = watched.make("status").stdout
    for program in ("app", "edge", "prometheus", "carrier"):
        assert re.search(rf"^  {program} +running", said, re.MULTILINE), said
    assert said.rstrip().endswith("healthy") and "charts" not in said
    assert "nothing was changed" in watched.up()


def test_administrators_see_the_stack(watched: RunningStack) -> None:
    """App, edge, the host's facts and Prometheus itself are scraped, and nothing that is not there is missed."""
    watched.user("ops-admin", "--admin")
    token = watched.token("ops-admin")
    every = {"app", "edge", "stack", "prometheus"}
    until(lambda: parts_up(watched, token) == every, "all parts are scraped", 75 * SCALE)
    shown = asked(watched, "/api/ops/panels/connections?window=6h", token)
    assert shown["series"][0]["values"][-1] is not None
    for alert in asked(watched, "/api/ops/alerts", token)["alerts"]:
        assert 0 < alert["since"] <= time.time()


@pytest.mark.parametrize("program", ["prometheus", "carrier"])
def test_nobody_else_reaches_them(watched: RunningStack, program: str) -> None:
    """They listen on 127.0.0.1 alone, and run as users who are not root, Prometheus as one who is nobody else."""
    port = watched.prometheus_port + (program == "carrier")
    lines = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert [one for one in lines if one.endswith(f":{port:04X}")] == [f"{LOOPBACK}:{port:04X}"]
    owner = unix_user.for_watch() if program == "prometheus" else unix_user.for_edge()
    status = Path(f"/proc/{watched.pid(program)}/status").read_text()
    assert f"Uid:\t{owner.uid}\t{owner.uid}" in status
    assert owner.uid != 0
    assert unix_user.for_watch().groups == (unix_user.for_watch().gid,)


@pytest.mark.parametrize("program", ["prometheus", "carrier"])
def test_a_killed_one_is_started_again(watched: RunningStack, program: str) -> None:
    """As the chat's own programs are, and the chat does not notice."""
    old, app = watched.pid(program), watched.pid("app")
    os.kill(old, signal.SIGKILL)

    def back() -> bool:
        found = [one.pid for one in watched.processes() if one.program == program]
        return found not in ([], [old]) and not health.blind(supervision.states(watched.place))

    until(back, "it runs again", 15 * SCALE)
    assert watched.pid("app") == app
    assert watched.make("status").stdout.rstrip().endswith("healthy")


@pytest.mark.parametrize("beside", [0, 1] if THOROUGH else [1])
def test_a_taken_port_is_no_reason_not_to_start(another: NewStack, beside: int) -> None:
    """People chat, and whoever may see charts is told why there are none; so for the carrier's port, the one above."""
    with another(watched=True) as mine:
        why = rf"Port {mine.prometheus_port + beside} is taken by .*\(process {os.getpid()}\).* make up {PORT}=\d+"
        with socket.create_server(("127.0.0.1", mine.prometheus_port + beside)):
            assert re.search(why, no_charts(mine.up()))
            status = mine.make("status").stdout
            assert status.rstrip().endswith("healthy") and re.search(why, no_charts(status))
            again = mine.up()
            assert "nothing was changed" in again and re.search(why, no_charts(again))
            mine.user("ops-blind", "--admin")
            token = mine.token("ops-blind")
            assert asked(mine, "/api/ops/catalogue", token)["watched"] is False
            assert answer(mine, "/api/ops/alerts", token)[0] == 503
            assert {one.program for one in mine.processes()}.isdisjoint({"prometheus", "carrier"})
        assert "charts" not in mine.up(), "once the port is free"
        assert {one.program for one in mine.processes()} > {"prometheus", "carrier"}


def test_a_prometheus_that_cannot_run_is_no_reason_either(another: NewStack) -> None:
    """The chat comes up beside one that ends at once; status says which program is ill."""
    with another(watched=True) as mine:
        mine.place.prometheus.mkdir()
        (data := embedded_watch.data_of(mine.place)).mkdir()
        (data / "wal").write_text("no folder")
        assert "prometheus is" in no_charts(mine.up())
        status = mine.make("status", check=False)
        assert status.returncode != 0
        assert "prometheus is" in status.stdout and "the chat is healthy, but not watched" in status.stdout
        assert "nothing was changed" in mine.up()
        (data / "wal").unlink()
        until(lambda: not health.blind(supervision.states(mine.place)), "it runs", 15 * SCALE)


def test_another_one_may_be_named_or_none(tmp_path: Path) -> None:
    """Then none is supervised, and the app is told nothing but what the operator says."""
    place = Place(tmp_path, tmp_path)
    assert embedded_watch.words(place, {})
    assert embedded_watch.for_app({PORT: "9999"}) == {URL: "http://127.0.0.1:9999"}
    for url in ("", "http://127.0.0.1:9090"):
        assert embedded_watch.words(place, {URL: url}) == ()
        assert embedded_watch.for_app({URL: url}) == {}
        assert embedded_watch.absent(place, {URL: url}) == ""


def test_why_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody decided it: a port of the edge's own, or no Prometheus on the machine, each with what to do."""
    for ports in ((9090, 8080), (8443, 9091)):
        said = embedded_watch.absent(Place(tmp_path, tmp_path, *ports), {})
        assert "is the edge's" in said and f"make up {PORT}=" in said
    monkeypatch.setattr(packages, "SEARCHED", str(tmp_path))
    assert "Prometheus is not installed" in embedded_watch.absent(Place(tmp_path, tmp_path), {})
    assert embedded_watch.without({PORT: "9999"}) == {PORT: "9999", URL: ""}


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
