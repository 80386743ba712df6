"""The report of a run: JSON for programs, one HTML file for people, lines for the terminal."""

from __future__ import annotations

import html
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from loadtest.plot import Points, Span, chart
from loadtest.scenario import Scenario
from loadtest.tally import percentile
from loadtest.verdict import Assertion, Observation, Verdict

STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True)
class Result:
    """One scenario, its verdict and what was observed, or why it could not be run."""

    scenario: Scenario
    verdict: Verdict
    runs: Sequence[Observation]
    failure: str = ""

    @property
    def green(self) -> bool:
        """Whether the promise held."""
        return not self.failure and self.verdict.green


def mark(holds: bool | None) -> str:
    """One word for a column."""
    return {True: "holds", False: "FAILS", None: "unjudged"}[holds]


def summary(result: Result) -> str:
    """What a person reads in the terminal: a line, and one more for each assertion that is not green."""
    word = "green" if result.green else "RED"
    lines = [f"  {word:<6} {result.scenario.name:<22} {len(result.verdict.assertions):>3} assertions"]
    if result.failure:
        lines.append(f"         could not be run: {result.failure}")
    for one in result.verdict.assertions:
        if one.holds is not True:
            lines.append(f"         {mark(one.holds)}  {one.name}: {one.expected}; {one.found}")
    return "\n".join(lines)


def headline(results: Sequence[Result]) -> str:
    """How many scenarios are green, and how much could not be judged."""
    green = sum(one.green for one in results)
    unjudged = sum(one.holds is None for result in results for one in result.verdict.assertions)
    return f"{green} of {len(results)} scenarios are green" + (f", {unjudged} assertions unjudged" if unjudged else "")


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """Everything that was asserted, and the figures it was judged by."""
    return {
        "green": all(one.green for one in results),
        "headline": headline(results),
        "scenarios": [
            {
                "name": one.scenario.name,
                "proves": one.scenario.proves,
                "green": one.green,
                "failure": one.failure,
                "assertions": [asdict(assertion) for assertion in one.verdict.assertions],
                "runs": [_figures(run) for run in one.runs],
            }
            for one in results
        ],
    }


def _figures(run: Observation) -> dict[str, Any]:
    def milliseconds(pairs: Sequence[tuple[float, float]], share: float) -> float:
        return round(percentile([took for _, took in pairs], share) * 1000.0, 2)

    return {
        who: {
            "seen": dict(tally.seen),
            "milliseconds": {
                kind: {"count": len(pairs), "p50": milliseconds(pairs, 0.5), "p99": milliseconds(pairs, 0.99)}
                for kind, pairs in tally.delays.items()
            },
        }
        for who, tally in (("honest", run.honest), ("attackers", run.attack))
    }


def write(folder: Path, results: Sequence[Result]) -> Path:
    """report.json and report.html; where the latter is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(as_json(results), indent=1, ensure_ascii=False) + "\n")
    page = folder / "report.html"
    page.write_text(as_html(results))
    return page


def as_html(results: Sequence[Result]) -> str:
    """One page that needs nothing else."""
    rows = "".join(
        f'<tr><td class="{_class(one.green)}">{"green" if one.green else "RED"}</td>'
        f'<td><a href="#{one.scenario.name}">{one.scenario.name}</a></td>'
        f"<td>{html.escape(one.scenario.proves)}</td></tr>"
        for one in results
    )
    style = STYLE.read_text()
    body = f"<h1>Load report: {headline(results)}</h1><table>{rows}</table>{''.join(map(_section, results))}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Load report</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style><body>{body}</body></html>\n'
    )


def _class(holds: bool | None) -> str:
    return {True: "good", False: "bad", None: "none"}[holds]


def _section(result: Result) -> str:
    name, proves = result.scenario.name, html.escape(result.scenario.proves)
    failure = f'<p class="bad">could not be run: {html.escape(result.failure)}</p>' if result.failure else ""
    ordered = sorted(result.verdict.assertions, key=lambda one: one.holds is True)
    rows = "".join(map(_row, ordered))
    plots = "".join(f'<div class="plots">{"".join(plotted(run))}</div>' for run in result.runs)
    head = "<tr><th></th><th>what</th><th>expected</th><th>found</th></tr>"
    return f'<section><h2 id="{name}">{name}</h2><p>{proves}</p>{failure}{plots}<table>{head}{rows}</table></section>'


def _row(one: Assertion) -> str:
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in (one.name, one.expected, one.found))
    return f'<tr><td class="{_class(one.holds)}">{mark(one.holds)}</td>{cells}</tr>'


def plotted(run: Observation) -> list[str]:
    """What honest users felt, what the server counted, what it held, and its memory."""
    start = run.scrapes[0].at if run.scrapes else run.calm[0]
    spans = [Span("attack", run.attacked[0] - start, run.attacked[1] - start)] if run.attack.seen else []
    gauges = [("connections", [(one.at - start, one.value("chat_connections")) for one in run.scrapes])]
    memory = [("resident", [(at - start, size / 1048576.0) for at, size in run.memory])]
    return [
        chart("Honest users: delivery by second", "ms", _felt(run, start), spans),
        chart("Counted by the server, per second", "/s", _rates(run, start), spans),
        chart("Connections", "", gauges, spans),
        chart("Memory of the app", "MiB", memory, spans),
    ]


def _felt(run: Observation, start: float) -> list[tuple[str, Points]]:
    seconds: dict[int, list[float]] = defaultdict(list)
    for at, took in run.honest.delays.get("delivery", ()):
        seconds[int(at - start)].append(took * 1000.0)
    return [
        (name, [(second + 0.5, percentile(took, share)) for second, took in sorted(seconds.items())])
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


RATES = {
    "accepted handshakes": ('chat_handshakes_total{verdict="accepted"}',),
    "refused handshakes": ('chat_handshakes_total{verdict="refused"}', "edge_rejected_total"),
    "accepted posts": ('chat_messages_total{outcome="accepted"}',),
    "posts that could not be taken": ('chat_messages_total{outcome="busy"}',),
    "throttles": ("chat_messages_throttled_total",),
    "bad frames": ("chat_messages_invalid_total",),
    "sign-ins": ("chat_sign_ins_total",),
}
"""By its name in the chart: a series, or all of a family."""


def _rates(run: Observation, start: float) -> list[tuple[str, Points]]:
    found: list[tuple[str, Points]] = []
    for name, families in RATES.items():
        points = [(one.at, sum(v for s, v in one.samples.items() if s.startswith(families))) for one in run.scrapes]
        steps = [((a + b) / 2 - start, max(0.0, y - x) / (b - a)) for (a, x), (b, y) in pairwise(points) if b - a > 0.3]
        if any(rate for _, rate in steps):
            found.append((name, steps))
    return found
