"""Limits, tallies, scenarios and the report: what they promise to each other."""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.settings import Settings
from loadtest import limits, report
from loadtest.__main__ import adjusted, parser
from loadtest.limits import Rate
from loadtest.plot import chart, nice
from loadtest.report import Result
from loadtest.scenarios import ALL, BY_NAME
from loadtest.tally import Tally, loaded, percentile, together
from loadtest.target import Target, addresses
from loadtest.verdict import judge
from tests.load.made import attack, honest, observation, window

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "loadtest").glob("*.py"))
FORKED = {
    *("counting", "party", "wire", "line", "people", "attack_doors", "attack_talk", "attack_rooms"),
    *("crew", "locustfile"),
}
"""Whatever imports Locust or gevent, and so lives only in the load generator's own environment."""


def test_the_defaults_are_the_servers() -> None:
    """The promises that are tried are those that the settings page makes."""
    fields = Settings.model_fields
    assert {name: float(fields[name].default) for name in limits.DEFAULTS} == dict(limits.DEFAULTS)


def test_the_operator_promises_something_else() -> None:
    """Settings change the promise, and a word on the command line changes it again."""
    settings = {"PORTCULLIS_POSTS_PER_USER_BURST": "3", "PORTCULLIS_CONNECTIONS_PER_USER": "2"}
    found = limits.chosen(settings, ["connections_per_user=4"])
    assert (found["posts_per_user_burst"], found["connections_per_user"], found["malformed_per_minute"]) == (3, 4, 10)


@pytest.mark.parametrize(
    "word", ["posts=3", "posts_per_user_burst=many", "posts_per_user_burst=inf", "connections_per_user=0"]
)
def test_a_promise_that_is_none_is_refused(word: str) -> None:
    """A typing error must not become a test that proves nothing."""
    with pytest.raises(ValueError, match=word.partition("=")[0]):
        limits.chosen({}, [word])


def test_what_a_rate_lets_pass() -> None:
    """burst + rate x T, rounded down to whole attempts of its cost."""
    assert [Rate(1.0, 5.0).passes(seconds) for seconds in (-1.0, 0.0, 0.99, 1.0, 10.0)] == [5, 5, 5, 6, 15]
    assert Rate(16384.0, 65536.0, 16000.0).passes(1.0) == 5
    assert (Rate(1.0, 5.0).most(0.99995), Rate(1.0, 5.0).least(1.00005)) == (6, 5)


def test_a_tally_survives_the_way_to_the_director() -> None:
    """JSON changes nothing, and two tallies make one."""
    one = attack({"alice": window(3, 1, 2.0)})
    one.delay("ack", 1.0, 0.5)
    one.facts["left"], one.trouble["odd"] = 2, 1
    assert loaded(json.loads(json.dumps(one.dump()))) == one
    both = together([one, honest()])
    assert both.seen == one.seen + honest().seen
    assert both.windows == one.windows


def test_percentiles_are_by_nearest_rank() -> None:
    """Of a hundred the 99th; of nothing none."""
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile([7.0], 0.99) == 7.0
    assert math.isnan(percentile([], 0.5))


def test_addresses_are_of_loopback_and_never_twice() -> None:
    """Across a block's end, too, and never a network's own address."""
    found = [address for address, _ in zip(addresses(255 * 256), range(600), strict=False)]
    assert len(set(found)) == 600
    assert all(address.startswith("127.") and not address.endswith((".0", ".255")) for address in found)


def test_only_loopback_gets_addresses_of_its_own() -> None:
    """Another host sees this machine's one address."""
    assert all(Target(f"https://{host}:8443").local for host in ("localhost", "127.0.0.1", "[::1]"))
    assert not Target("https://chat.example").local
    assert Target("https://chat.example").port == 443


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.stem))
def test_gevent_stays_where_it_belongs(path: Path) -> None:
    """What judges, leads and reports imports neither Locust nor gevent nor what does; and no module is long."""
    tree = ast.parse(path.read_text())
    names = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    patched = {name for name in names if name.partition(".")[0] in ("locust", "gevent")}
    patched |= {name for name in names if name.removeprefix("loadtest.") in FORKED}
    assert path.stem in FORKED or not patched
    assert path.read_text().count("\n") <= 320


@pytest.mark.parametrize("scenario", ALL, ids=lambda one: str(one.name))
def test_every_scenario_has_attackers_and_a_page(scenario: object) -> None:
    """Its class exists, and docs/load.md says what it proves."""
    one = BY_NAME[getattr(scenario, "name", "")]
    classes = {
        node.name for path in SOURCES for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)
    }
    assert not one.attack or one.attack in classes
    assert f"`{one.name}`" in (ROOT / "docs" / "load.md").read_text()


def test_the_short_suite_tries_most() -> None:
    """Enough scenarios, and together with their calm under five minutes."""
    short = [one for one in ALL if one.short and one.usual]
    assert len(short) >= 10
    assert sum(one.seconds + one.calm + 5.0 for one in short) < 300


def test_other_numbers_keep_their_proportions() -> None:
    """Twice the attackers share twice the accounts; a scenario without attackers has more honest users."""
    words = parser().parse_args(["post-flood", "--users", "24", "--time", "3"])
    found = adjusted(BY_NAME["post-flood"], words)
    assert (found.attackers, found.accounts, found.seconds, found.honest) == (24, 6, 3.0, 12)
    assert adjusted(BY_NAME["steady"], words).honest == 24


def result(holds: bool) -> Result:
    """A scenario whose run was right, or in which the server forgot a throttle."""
    scenario = replace(BY_NAME["post-flood"], expectations=())
    run = observation(honest(), attack({"alice": window(15, 9, 10.0)}))
    if not holds:
        run.scrapes[-1].samples['chat_messages_throttled_total{limit="posts_per_user"}'] -= 1
    return Result(scenario, judge(scenario, limits.DEFAULTS, [run]), [run])


def test_the_report_says_what_the_verdict_says(tmp_path: Path) -> None:
    """JSON, page and terminal agree, and the page needs nothing but itself."""
    page = report.write(tmp_path, [result(True), result(False)])
    found = json.loads((tmp_path / "report.json").read_text())
    assert [one["green"] for one in found["scenarios"]] == [True, False]
    assert not found["green"]
    text = page.read_text()
    assert "1 of 2 scenarios are green" in text
    assert not re.search(r"(src|href)=\"(?!#)|@import|url\(", text)
    assert text.count("<svg") == 8
    assert "FAILS" in report.summary(result(False))
    assert "FAILS" not in report.summary(result(True))


def test_a_scenario_that_could_not_be_run_is_red() -> None:
    """No verdict is no pass."""
    failed = replace(result(True), failure="nobody came")
    assert not failed.green
    assert "nobody came" in report.summary(failed)
    assert "nobody came" in report.as_html([failed])


def test_charts_scale_to_what_they_show() -> None:
    """Axes end at round numbers; an empty chart says so; names are escaped."""
    assert [nice(value) for value in (0.0, 0.7, 1.0, 13.0, 480.0, math.inf)] == [1.0, 1.0, 1.0, 20.0, 500.0, 1.0]
    assert "nothing was seen" in chart("Empty", "ms", [("p99", [])])
    assert "<b>" not in chart("<b>", "ms", [("<b>", [(0.0, 1.0)])])
    assert Tally().dump()["seen"] == {}
