"""Each assertion holds for a run as it should be, and does not once something is spoilt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from loadtest.limits import Rate
from loadtest.scenario import CapOf, Equal, Expectation, Happens, Never, RateOf, Scenario, Within
from loadtest.tally import Tally, Window
from loadtest.verdict import Observation, Verdict, judge
from tests.load import made
from tests.load.made import attack, honest, observation, window

POSTS = Scenario(
    "made",
    "",
    attack="PostFlooder",
    promise=RateOf("posts_per_user", lambda limits: Rate(limits["rate"], limits["burst"])),
)
LIMITS = {"rate": 1.0, "burst": 5.0}
GAUGES = {"chat_connections": 3.0, "chat_outbox_bytes": 0.0}
RIGHT = {"alice": window(15, 9, 10.5), "bob": window(15, 3, 10.5)}


def verdict(run: Observation, scenario: Scenario = POSTS) -> Verdict:
    """On one run."""
    return judge(scenario, LIMITS, [run])


def failed(run: Observation, scenario: Scenario = POSTS) -> list[str]:
    """The names of the assertions that do not hold."""
    return [one.name for one in verdict(run, scenario).failed]


def test_a_right_run_is_green() -> None:
    """Nothing fails, and nothing is left unjudged."""
    found = verdict(observation(honest(), attack(RIGHT)))
    assert found.green
    assert all(one.holds for one in found.assertions)


def test_no_assertion_is_no_green() -> None:
    """A verdict without anything to judge is not green."""
    assert not Verdict("made", ()).green


@pytest.mark.parametrize("accepted", [16, 24])
def test_one_post_too_many_is_red(accepted: int) -> None:
    """5 + 1/s x 10.5 s is 15: the sixteenth of one user is one too many, whatever the others got."""
    spoilt = RIGHT | {"alice": window(accepted, 1, 10.5)}
    assert failed(observation(honest(), attack(spoilt))) == ["posts_per_user: no more than promised"]


@pytest.mark.parametrize("accepted", [14, 0])
def test_too_few_is_red(accepted: int) -> None:
    """Less than 98 % of what the limit lets pass is a limit that takes more than it says."""
    spoilt = RIGHT | {"alice": window(accepted, 9, 10.5)}
    assert failed(observation(honest(), attack(spoilt))) == ["posts_per_user: no less than promised"]


def test_an_attack_that_was_never_refused_is_red() -> None:
    """Where one key was refused nothing the limit was not reached, and nothing is proven."""
    spoilt = RIGHT | {"bob": window(15, 0, 10.5)}
    assert failed(observation(honest(), attack(spoilt))) == ["posts_per_user: the attack reached it"]


def test_no_attack_at_all_is_red() -> None:
    """Attackers that did nothing prove nothing."""
    assert "posts_per_user: the attack reached it" in failed(observation(honest(), attack({})))


def test_the_bounds_allow_for_the_time_that_answers_take() -> None:
    """The server decided somewhere between sending and answer: the longest span bounds above, the shortest below."""
    slow = window(16, 2, 10.5)
    slow.last_answered = 111.2
    assert "posts_per_user: no more than promised" not in failed(observation(honest(), attack({"alice": slow})))
    slow = window(14, 2, 10.5)
    slow.first_answered = 101.2
    assert "posts_per_user: no less than promised" not in failed(observation(honest(), attack({"alice": slow})))


def test_what_nobody_asked_for_is_not_missed() -> None:
    """Only at a refusal was nothing left: what was accepted later neither counts nor makes up for what was missing."""
    found = Window()
    for number in range(14):
        found.note(100.0, 100.01, accepted=number < 5)
    for second in range(1, 9):
        found.note(100.02 + second, 100.03 + second, accepted=True)
    found.note(108.5, 108.51, accepted=False)
    found.note(108.4, 108.52, accepted=True)
    found.note(111.2, 111.21, accepted=True)
    assert (found.accepted, found.spent, round(found.shortest, 2)) == (15, 14, 8.49)
    assert failed(observation(honest(), attack({"alice": found}))) == []
    found.spent = 12
    assert failed(observation(honest(), attack({"alice": found}))) == ["posts_per_user: no less than promised"]


@pytest.mark.parametrize(("peak", "refused", "green"), [(5, 3, True), (6, 3, False), (4, 3, False), (5, 0, False)])
def test_a_cap_is_exact(peak: int, refused: int, green: bool) -> None:
    """One more is red, one fewer is red, and so is a cap that nobody ran into."""
    scenario = replace(POSTS, promise=CapOf("connections_per_user", lambda _: 5.0))
    run = observation(honest(), attack({"alice": window(5, refused, 10.5, peak), "bob": window(5, 1, 10.5, 5)}))
    assert failed(run, scenario) == ([] if green else ["connections_per_user: exactly the cap"])


@pytest.mark.parametrize(
    ("series", "value"),
    [(made.LIMIT, 1011.0), (made.LIMIT, 1013.0), (made.THROTTLED, 1000.0), (made.IP_RATE, 1.0), (made.EDGE_RATE, 1.0)],
)
def test_a_count_that_differs_by_one_is_red(series: str, value: float) -> None:
    """Per series, whichever side it is missing on; what only the server counted is as wrong as what it forgot."""
    assert failed(observation(honest(), attack(RIGHT), **{series: value})) == [series]


def test_nothing_counted_is_red() -> None:
    """Two empty hands do not agree about anything."""
    found = failed(observation(Tally(), Tally()), Scenario("made", ""))
    assert "clients and server agree" in found


def test_series_of_which_only_the_sum_is_known() -> None:
    """They are compared as one number; that number has to be right."""
    codes = frozenset({'chat_closes_total{code="1006"}', 'chat_closes_total{code="4000"}'})
    scenario = replace(POSTS, one_number=(codes,))
    enemies = attack(RIGHT)
    enemies.seen['chat_closes_total{code="1006"}'] = 2
    split = {'chat_closes_total{code="1006"}': 1001.0, 'chat_closes_total{code="4000"}': 1.0}
    assert failed(observation(honest(), enemies, **split), scenario) == []
    assert failed(observation(honest(), enemies, **(split | {'chat_closes_total{code="4000"}': 2.0})), scenario)


def test_trouble_is_red() -> None:
    """A lost connection that no counter explains."""
    enemies = attack(RIGHT)
    enemies.trouble["handshake without an answer: TimeoutError"] = 1
    assert failed(observation(honest(), enemies)) == ["nothing unexplained"]


@pytest.mark.parametrize("series", [made.LIMIT, made.IP_RATE, 'chat_closes_total{code="4500"}', made.EDGE_RATE])
def test_an_honest_user_who_is_harmed_is_red(series: str) -> None:
    """A throttle, a refusal, a close: each once is too often."""
    friends = honest()
    friends.seen[series] += 1
    assert failed(observation(friends, attack(RIGHT))) == ["honest users: no throttle, no refusal"]


def test_honest_users_who_say_nothing_are_red() -> None:
    """Silence is no sign of health."""
    friends = honest()
    friends.seen[made.POSTED] = 0
    assert failed(observation(friends, attack(RIGHT))) == ["honest users: no throttle, no refusal"]


@pytest.mark.parametrize(
    ("before", "during", "green"), [(0.02, 0.039, True), (0.02, 0.041, False), (0.001, 0.009, True)]
)
def test_latency_may_double(before: float, during: float, green: bool) -> None:
    """More than twice is red; below what clients can feel nothing is."""
    assert failed(observation(honest(before, during), attack(RIGHT))) == (
        [] if green else ["honest users: p99 delivery"]
    )


def test_latency_is_the_median_of_the_runs() -> None:
    """Two slow runs of five are the machine's, three are the server's."""
    good, bad = (observation(honest(0.02, during), attack(RIGHT)) for during in (0.02, 0.09))
    assert judge(POSTS, LIMITS, [good, bad, good, bad, good]).green
    assert not judge(POSTS, LIMITS, [good, bad, bad, bad, good]).green


def test_latency_that_the_clients_themselves_explain_is_not_judged() -> None:
    """Where the clients got no turn the server is not to blame; where they did it is."""
    friends = honest(0.02, 0.09)
    friends.delays["turn"] = [(100.0 + number * 0.05, 0.06) for number in range(200)]
    run = observation(friends, attack(RIGHT))
    assert [one.name for one in verdict(run).assertions if one.holds is None] == ["honest users: p99 delivery"]
    friends.delays["turn"] = [(100.0 + number * 0.05, 0.01) for number in range(200)]
    assert failed(run) == ["honest users: p99 delivery"]


def test_latency_on_a_restless_machine_is_not_judged() -> None:
    """Where most runs were restless before anybody attacked there is nothing to compare with; one of three may be."""
    friends = honest(0.004, 0.09)
    friends.delays["delivery"] = [(at, 0.03 if at < 90.5 else took) for at, took in friends.delays["delivery"]]
    restless, bad, good = (observation(one, attack(RIGHT)) for one in (friends, honest(0.004, 0.09), honest()))
    name = "honest users: p99 delivery"
    assert [one.name for one in verdict(restless).assertions if one.holds is None] == [name]
    assert [one.name for one in judge(POSTS, LIMITS, [restless, bad, bad]).failed] == [name]
    assert all(one.holds for one in judge(POSTS, LIMITS, [restless, good, good]).assertions)


def test_too_few_deliveries_are_red() -> None:
    """A 99th percentile of a handful is none."""
    friends = honest()
    friends.delays["delivery"] = friends.delays["delivery"][:250]
    assert failed(observation(friends, attack(RIGHT))) == ["honest users: p99 delivery"]


@pytest.mark.parametrize("gauge", ["chat_connections", "chat_outbox_bytes"])
def test_what_is_left_behind_is_red(gauge: str) -> None:
    """One connection or one byte more than before."""
    assert failed(observation(honest(), attack(RIGHT), **{gauge: GAUGES[gauge] + 1.0})) == [f"{gauge} afterwards"]


def test_a_server_that_began_anew_is_red() -> None:
    """Its counters fell: what they counted meanwhile is added up, but nothing under load may end a process."""
    run = observation(honest(), attack(RIGHT))
    halfway = replace(
        run.scrapes[-1], samples={name: value - 1000.0 for name, value in run.scrapes[-1].samples.items()}
    )
    fallen = replace(run, scrapes=[run.scrapes[0], replace(halfway, samples=halfway.samples | GAUGES)])
    assert failed(fallen) == ["no process began anew"]


def test_a_gauge_that_is_gone_is_red() -> None:
    """A server that does not say how many connections it has is not back where it was."""
    run = observation(honest(), attack(RIGHT))
    del run.scrapes[-1].samples["chat_connections"]
    assert failed(run) == ["chat_connections afterwards"]


def test_memory_is_bounded() -> None:
    """More than was granted is red; memory that nobody can see is not judged."""
    run = observation(honest(), attack(RIGHT))
    assert failed(replace(run, memory=((95.0, 100 * made.MIB), (105.0, 165 * made.MIB)))) == ["memory"]
    assert [one.name for one in verdict(replace(run, memory=())).assertions if one.holds is None] == ["memory"]


@pytest.mark.parametrize(
    ("demand", "green"),
    [
        (Happens(made.LIMIT), True),
        (Happens(made.IP_RATE), False),
        (Never(made.IP_RATE), True),
        (Never(made.LIMIT), False),
        (Equal("came", "left"), True),
        (Equal("came", "stayed"), False),
        (Equal("nothing", "never"), False),
        (Within("comeback", 2.0), True),
        (Within("comeback", 1.0), False),
        (Within("nothing", 1.0), False),
    ],
)
def test_what_the_scenario_demands(demand: Expectation, green: bool) -> None:
    """Each kind of demand, met and not met."""
    enemies = attack(RIGHT)
    enemies.facts.update({"came": 4, "left": 4, "stayed": 3})
    enemies.delays["comeback"] = [(101.0, 0.5), (102.0, 1.5)]
    found = failed(observation(honest(), enemies), replace(POSTS, expectations=(demand,)))
    assert bool(found) is not green


def test_a_restart_is_judged_by_what_clients_saw() -> None:
    """Everybody back and resumed, honest users too: counters that fell are no matter, somebody who stayed away is."""
    scenario = Scenario(
        "made", "", attack="Returner", restart=True, expectations=(Equal("resumed", "lost"), Within("comeback", 5.0))
    )

    def back(resumed: int, seconds: float = 1.0) -> Tally:
        return Tally(facts=Counter(lost=3, resumed=resumed), delays={"comeback": [(101.0, seconds)]})

    assert verdict(observation(back(3), back(3), **{made.POSTED: 5.0}), scenario).green
    assert failed(observation(back(2), back(3)), scenario) == ["resumed = lost"]
    assert failed(observation(back(3), back(2)), scenario) == ["resumed = lost"]
    assert failed(observation(back(3), back(3, 6.0)), scenario) == ["comeback: how long"]
    assert failed(observation(back(3), back(3), chat_connections=4.0), scenario) == ["chat_connections afterwards"]
    lost = Tally(trouble=Counter({"not back": 1}))
    assert "nothing unexplained" in failed(observation(back(3), lost), scenario)


def test_each_worker_has_a_share_of_the_memory() -> None:
    """What is too much for one is not for four together."""
    grown = ((95.0, 100 * made.MIB), (105.0, 200 * made.MIB))
    run = replace(observation(honest(), attack(RIGHT)), memory=grown)
    assert failed(run) == ["memory"]
    assert failed(replace(run, workers=4)) == []
