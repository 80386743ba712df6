"""`python -m loadtest NAME…|suite|prove|list|accounts COUNT`: scenarios against a stack, and their verdict.

Exit status: 0 when every verdict is green, 1 when one is red or could not be reached, 2 for a wrong call.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from loadtest import accounts, director, local, report, server
from loadtest.accounts import Purse
from loadtest.report import Result
from loadtest.scenario import Scenario
from loadtest.scenarios import ALL, BY_NAME
from loadtest.server import Server
from loadtest.target import Target
from loadtest.verdict import Observation, Verdict, judge
from stack.problem import Problem

SUITES = {"suite": 1, "prove": 5}
"""How often each scenario is run: the latency of honest users counts by the median."""


def parser() -> argparse.ArgumentParser:
    """The words."""
    made = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    made.add_argument("names", nargs="+", metavar="NAME", help="scenarios, suite (short), prove (all), list, accounts")
    made.add_argument("--users", type=int, help="attackers; the scenario's own number by default")
    made.add_argument("--honest", type=int, help="honest users beside them")
    made.add_argument("--time", type=float, help="seconds of the attack")
    made.add_argument("--calm", type=float, default=5.0, help="seconds before the attack")
    made.add_argument("--repeat", type=int, help="runs of each scenario; 5 for prove, else 1")
    made.add_argument("--host", help="https://HOST:PORT; the stack of this clone by default")
    made.add_argument("--ca", default="", help="file with the authority of that host's certificate")
    made.add_argument("--metrics", help="URL of that host's metrics, app and edge together")
    made.add_argument("--accounts", type=Path, help="file of accounts made on that host: python -m loadtest accounts N")
    made.add_argument("--limit", action="append", default=[], metavar="NAME=VALUE", help="what that host promises")
    made.add_argument("--report", type=Path, help="folder of the report; var/load by default")
    return made


def chosen(words: argparse.Namespace) -> list[Scenario]:
    """The scenarios that are named, changed as asked. Raises Problem for a name that is none."""
    found: list[Scenario] = []
    for name in words.names:
        if name in SUITES:
            suite = [one for one in ALL if one.usual and (one.short or name == "prove")]
            # A host elsewhere cannot be restarted from here.
            found += [one for one in suite if not (one.restart and words.host)]
        elif name in BY_NAME:
            found.append(BY_NAME[name])
        else:
            raise Problem(f"There is no scenario {name}. There are: {', '.join(BY_NAME)}, suite, prove.")
    return [adjusted(one, words) for one in found]


def adjusted(scenario: Scenario, words: argparse.Namespace) -> Scenario:
    """With other numbers of users or another length; attackers keep sharing accounts as they did."""
    attackers = words.users if words.users and scenario.attack else scenario.attackers
    shared = scenario.attackers / scenario.accounts if scenario.accounts else 0.0
    return replace(
        scenario,
        attackers=attackers,
        accounts=max(1, round(attackers / shared)) if shared else 0,
        honest=words.honest or (words.users if words.users and not scenario.attack else scenario.honest),
        seconds=words.time or scenario.seconds,
        calm=words.calm,
    )


def reached(words: argparse.Namespace, count: int) -> tuple[Target, Server, Purse]:
    """Where the load goes and what is asked there. Raises Problem."""
    if not words.host:
        stack = local.stack()
        target = Target(stack.place.origin, str(local.authority(stack)))
        return target, server.local(stack, words.limit), Purse(accounts.make(stack, count))
    if not words.metrics or not words.accounts:
        raise Problem("A host needs --metrics URL and --accounts FILE, for nothing of it can be asked from here.")
    return (
        Target(words.host, words.ca),
        server.remote(words.metrics, words.ca, words.limit),
        Purse(accounts.read(words.accounts)),
    )


def tried(scenario: Scenario, where: tuple[Target, Server, Purse], repeat: int) -> Result:
    """Run it as often as asked, and judge."""
    runs: list[Observation] = []
    for number in range(repeat):
        began = time.monotonic()

        def say(what: str, began: float = began, number: int = number) -> None:
            run = f", run {number + 1} of {repeat}" if repeat > 1 else ""
            print(f"         {scenario.name:<22} {time.monotonic() - began:5.1f} s  {what}{run}", flush=True)

        if number and scenario.rest:
            say("resting")
            time.sleep(scenario.rest)
        try:
            runs.append(director.run(scenario, *where, say))
        except Problem as problem:
            return Result(scenario, Verdict(scenario.name, ()), runs, str(problem))
    return Result(scenario, judge(scenario, where[1].promised, runs), runs)


def run(words: argparse.Namespace) -> int:
    """Every scenario in turn, a line for each, and the report."""
    scenarios = chosen(words)
    repeat = words.repeat or max([1, *(SUITES.get(name, 1) for name in words.names)])
    began = time.monotonic()
    where = reached(words, director.needed(scenarios, repeat))
    results = []
    for scenario in scenarios:
        results.append(tried(scenario, where, repeat))
        print(report.summary(results[-1]), flush=True)
    page = report.write(words.report or Path("var/load"), results)
    print(f"{report.headline(results)}, after {time.monotonic() - began:.0f} s. Report: {page}")
    return 0 if all(one.green for one in results) else 1


def listed() -> int:
    """What there is."""
    for one in ALL:
        print(f"  {one.name:<22} {one.proves}")
    return 0


def made(count: str) -> int:
    """Accounts of the local stack, for --accounts on another host; the output holds secrets."""
    print(json.dumps([list(asdict(one).values()) for one in accounts.make(local.stack(), int(count))]))
    return 0


def main() -> int:
    """Run one command; a Problem is one sentence."""
    words = parser().parse_args()
    try:
        if words.names[0] == "list":
            return listed()
        if words.names[0] == "accounts":
            return made(words.names[1] if len(words.names) > 1 else "100")
        return run(words)
    except (Problem, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
