"""The verdict on a scenario: assertions over what clients counted and what the server counted. No I/O."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from loadtest import counters
from loadtest.counters import Scrape
from loadtest.limits import Limits, Rate
from loadtest.scenario import CapOf, Equal, Expectation, Happens, Never, RateOf, Scenario, Within
from loadtest.tally import Tally, Window, percentile, together

ENOUGH = 0.98
"""Of what a limit lets pass, at least this share has to pass."""
SLOWER = 2.0
"""Times that honest users' p99 during an attack may be theirs before it."""
UNFELT = 0.010
"""Seconds: the clients' own clocks and turns are no finer, so a p99 below this counts as this."""
RESTLESS = 3.0
"""Times its median that the p99 before an attack is on a machine that has something else to do."""
SAMPLES = 100
"""Fewer deliveries than this say nothing about a 99th percentile."""
MIB = 1024.0 * 1024.0
EXPECTED = f"≤ {SLOWER:g} x before, below {UNFELT * 1000:g} ms counting as {UNFELT * 1000:g} ms"


@dataclass(frozen=True)
class Assertion:
    """One sentence that holds or does not; None: it could not be judged."""

    name: str
    holds: bool | None
    expected: str
    found: str


@dataclass(frozen=True)
class Observation:
    """One run. Times are monotonic seconds; `calm` and `attacked` are the spans before and during the attack."""

    honest: Tally
    attack: Tally
    scrapes: Sequence[Scrape]
    calm: tuple[float, float]
    attacked: tuple[float, float]
    memory: Sequence[tuple[float, float]] = field(default_factory=tuple)
    """The app's resident bytes over time; empty where they cannot be measured."""
    workers: int = 1
    """The app's processes that serve, each of which may take its share."""


@dataclass(frozen=True)
class Verdict:
    """All assertions about a scenario's runs."""

    scenario: str
    assertions: tuple[Assertion, ...]

    @property
    def green(self) -> bool:
        """Whether there are assertions and none failed."""
        return bool(self.assertions) and all(one.holds is not False for one in self.assertions)

    @property
    def failed(self) -> list[Assertion]:
        """Those that do not hold."""
        return [one for one in self.assertions if one.holds is False]


def judge(scenario: Scenario, limits: Limits, runs: Sequence[Observation]) -> Verdict:
    """Every run must hold up by itself; the honest users' latency by the median of the runs."""
    found: list[Assertion] = []
    for number, run in enumerate(runs, 1):
        prefix = f"run {number}: " if len(runs) > 1 else ""
        found += [
            Assertion(prefix + one.name, one.holds, one.expected, one.found) for one in _single(scenario, limits, run)
        ]
    if scenario.attack and not scenario.restart:
        found.append(latency(runs))
    return Verdict(scenario.name, tuple(found))


def _single(scenario: Scenario, limits: Limits, run: Observation) -> Iterator[Assertion]:
    if scenario.restart:
        everybody = together([run.honest, run.attack])
        yield untroubled(everybody)
        yield from (expected(one, replace(run, attack=everybody)) for one in scenario.expectations)
        yield from level(run.scrapes)
        return
    match scenario.promise:
        case RateOf():
            yield from rate_kept(scenario.promise.limit, scenario.promise.rate(limits), run.attack.windows)
        case CapOf():
            left = scenario.promise.most(limits) - (scenario.honest if scenario.promise.honest_too else 0)
            yield cap_kept(scenario.promise.limit, left, run.attack.windows)
        case None:
            pass
    yield from reconciled(together([run.honest, run.attack]), run.scrapes, scenario.one_number)
    yield untroubled(together([run.honest, run.attack]))
    yield honest_unharmed(run.honest)
    yield from (expected(one, run) for one in scenario.expectations)
    yield from level(run.scrapes)
    yield unbroken(run.scrapes)
    yield memory_bounded(run, scenario.memory_mib * run.workers)


def rate_kept(limit: str, rate: Rate, windows: dict[str, Window]) -> Iterator[Assertion]:
    """Accepted ≤ burst + rate x time of every key, ≥ 98 % of it over all keys, and the attack did reach the limit."""
    most = {key: rate.most(window.longest) for key, window in windows.items()}
    over = {key: (window.accepted, most[key]) for key, window in windows.items() if window.accepted > most[key]}
    worst = max(over.items(), key=lambda item: item[1][0] - item[1][1], default=None)
    found = f"{sum(one.accepted for one in windows.values())} of at most {sum(most.values())}"
    if worst:
        found += f"; {len(over)} of {len(windows)} keys too many, the worst {worst[1][0]} of {worst[1][1]}"
    yield Assertion(f"{limit}: no more than promised", not over, f"≤ {_arithmetic(rate)} for every key", found)
    yield _enough(limit, rate, windows)
    yield _reached(limit, windows)


def _enough(limit: str, rate: Rate, windows: dict[str, Window]) -> Assertion:
    reached = [window for window in windows.values() if window.refused]
    promised = sum(rate.least(window.shortest) for window in reached)
    spent = sum(window.spent for window in reached)
    share = spent / promised if promised else 0.0
    found = f"{spent} of {promised} up to the last refusal, {share:.1%}"
    return Assertion(
        f"{limit}: no less than promised", share >= ENOUGH, f"≥ {ENOUGH:.0%} of {_arithmetic(rate)}", found
    )


def _reached(limit: str, windows: dict[str, Window]) -> Assertion:
    never = [key for key, window in windows.items() if not window.refused]
    found = f"{len(windows) - len(never)} of {len(windows)} keys were refused something"
    return Assertion(f"{limit}: the attack reached it", bool(windows) and not never, "every key at least once", found)


def _arithmetic(rate: Rate) -> str:
    per = f"{rate.burst:g} + {rate.per_second:.4g}/s x T"
    return per if rate.cost == 1 else f"({per}) / {rate.cost:g}"


def cap_kept(limit: str, most: float, windows: dict[str, Window]) -> Assertion:
    """Every key held exactly the cap at its height, and was refused more."""
    peaks = Counter(window.peak for window in windows.values())
    refused = sum(1 for window in windows.values() if window.refused)
    holds = bool(windows) and set(peaks) == {int(most)} and refused == len(windows)
    found = ", ".join(f"{number} held {peak}" for peak, number in sorted(peaks.items())) or "nobody held any"
    return Assertion(
        f"{limit}: exactly the cap", holds, f"{most:g} for every key, then a refusal", f"{found}; {refused} refused"
    )


def reconciled(
    clients: Tally, scrapes: Sequence[Scrape], one_number: Sequence[frozenset[str]] = ()
) -> Iterator[Assertion]:
    """What clients saw is what the server counted, series by series: not one more, not one less."""
    counted = counters.increases(scrapes)
    names = set(counted) | {name for name, number in clients.seen.items() if number}
    groups = [group & names for group in one_number if group & names]
    for group in [*groups, *({name} for name in sorted(names.difference(*groups)))]:
        server, seen = sum(counted[name] for name in group), sum(clients.seen[name] for name in group)
        yield Assertion(" + ".join(sorted(group)), server == seen, f"{seen} seen by clients", f"{server} counted")
    if not names:
        yield Assertion("clients and server agree", False, "something was counted", "nothing was")


def untroubled(clients: Tally) -> Assertion:
    """Nothing happened to a client that no counter and no expectation explains."""
    found = ", ".join(f"{number} x {what}" for what, number in sorted(clients.trouble.items()))
    return Assertion("nothing unexplained", not clients.trouble, "no lost connection, no silence", found or "none")


def honest_unharmed(honest: Tally) -> Assertion:
    """No honest user was throttled, refused or closed by the server."""
    harmless = {'chat_handshakes_total{verdict="accepted"}', 'chat_messages_total{outcome="accepted"}'}
    harm = {
        name: number
        for name, number in honest.seen.items()
        if number and name not in harmless and name != 'chat_closes_total{code="1000"}'
    }
    found = ", ".join(f"{number} x {name}" for name, number in sorted(harm.items()))
    spoke = honest.seen['chat_messages_total{outcome="accepted"}']
    return Assertion(
        "honest users: no throttle, no refusal", not harm and spoke > 0, "only accepted", found or f"{spoke} posts"
    )


def latency(runs: Sequence[Observation]) -> Assertion:
    """Honest users' p99 delivery during the attack ≤ 2 x theirs before it, by the median of the runs.

    It cannot be judged where most runs were restless before anybody attacked, nor where the clients' own process got
    its turns so late that this alone explains it.
    """
    name, felt = "honest users: p99 delivery", [Felt.of(run) for run in runs]
    if not felt or any(math.isnan(one.before) or math.isnan(one.during) for one in felt):
        return Assertion(name, False, f"≥ {SAMPLES} deliveries before and during", "too few")
    quiet = [one for one in felt if not one.restless]
    ratio = statistics.median(one.ratio(0.0) for one in quiet or felt)
    at_best = statistics.median(one.ratio(one.late) for one in quiet or felt)
    judged = 2 * len(quiet) > len(felt) and not at_best <= SLOWER < ratio
    found = ", ".join(str(one) for one in felt) + f"; {ratio:.2f} x"
    return Assertion(name, ratio <= SLOWER if judged or ratio <= SLOWER else None, EXPECTED, found)


@dataclass(frozen=True)
class Felt:
    """Seconds: p99 of deliveries before and during the attack, their median before it, and the clients' lateness."""

    before: float
    during: float
    usual: float
    late: float

    @classmethod
    def of(cls, run: Observation) -> Felt:
        """What the honest users of a run felt; NaN for too few deliveries."""
        late = _share(run, "turn", run.attacked, 0.99)
        return cls(
            _share(run, "delivery", run.calm, 0.99),
            _share(run, "delivery", run.attacked, 0.99),
            _share(run, "delivery", run.calm, 0.5),
            0.0 if math.isnan(late) else late,
        )

    @property
    def restless(self) -> bool:
        """Whether the machine was busy with something else: a calm that is none is no measure of an attack."""
        return self.before > max(UNFELT, RESTLESS * self.usual)

    def __str__(self) -> str:
        before, during, late = (value * 1000 for value in (self.before, self.during, self.late))
        restless = "restless before, " if self.restless else ""
        return f"{before:.1f} → {during:.1f} ms ({restless}the clients' own turns came {late:.1f} ms late)"

    def ratio(self, excused: float) -> float:
        """How much longer it took during the attack, so many seconds being nobody's fault."""
        return max(self.during - excused, UNFELT) / max(self.before, UNFELT)


def _share(run: Observation, kind: str, span: tuple[float, float], share: float) -> float:
    took = [took for at, took in run.honest.delays.get(kind, ()) if span[0] <= at < span[1]]
    return percentile(took, share) if len(took) >= SAMPLES else math.nan


def expected(one: Expectation, run: Observation) -> Assertion:
    """What the scenario itself demands."""
    match one:
        case Happens():
            counted = counters.increase(run.scrapes, one.series)
            return Assertion(f"{one.series} happens", counted > 0, "> 0", f"{counted:g}")
        case Never():
            seen = run.attack.seen[one.series]
            return Assertion(f"{one.series} never", seen == 0, "0", f"{seen}")
        case Equal():
            left, right = run.attack.facts[one.fact], run.attack.facts[one.other]
            return Assertion(f"{one.fact} = {one.other}", left == right > 0, f"{right}", f"{left}")
        case Within():
            took = [took for _, took in run.attack.delays.get(one.kind, ())]
            longest = max(took, default=math.inf)
            found = f"{longest:.2f} s, of {len(took)}"
            return Assertion(f"{one.kind}: how long", longest <= one.seconds, f"≤ {one.seconds:g} s", found)
        case _:
            assert_never(one)


def level(scrapes: Sequence[Scrape]) -> Iterator[Assertion]:
    """Connections and outboxes are where they were."""
    first, last = (scrapes[0], scrapes[-1]) if scrapes else (Scrape(0.0), Scrape(0.0))
    for gauge in ("chat_connections", "chat_outbox_bytes"):
        before, after = first.value(gauge), last.value(gauge)
        known = gauge in last.samples
        yield Assertion(f"{gauge} afterwards", known and after <= before, f"≤ {before:g} as before", f"{after:g}")


def unbroken(scrapes: Sequence[Scrape]) -> Assertion:
    """The counters are those of the same processes."""
    restarts = counters.resets(scrapes)
    return Assertion("no process began anew", restarts == 0, "0 counters fell", f"{restarts} times")


def memory_bounded(run: Observation, allowed_mib: float) -> Assertion:
    """The app's memory at its height is not more than so much above what it was before the attack."""
    if not run.memory:
        return Assertion("memory", None, f"at most {allowed_mib:g} MiB more", "not measured: the app runs elsewhere")
    calm = [size for at, size in run.memory if at <= run.calm[1]] or [run.memory[0][1]]
    grown = (max(size for _, size in run.memory) - max(calm)) / MIB
    found = f"{max(calm) / MIB:.0f} MiB and {grown:+.0f} MiB"
    return Assertion("memory", grown <= allowed_mib, f"at most {allowed_mib:g} MiB more", found)
