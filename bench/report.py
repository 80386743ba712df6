"""What a comparison says: one table for people, one document for machines."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from statistics import median

from bench.comparison import Comparison
from bench.room import Burst


def table(comparison: Comparison, references: Sequence[str]) -> str:
    """Return a Markdown table: medians over the rounds, ratios pair by pair with smallest and largest."""
    windows = comparison.plan.windows
    rates = [f"{label(window)} k/s" for window in windows]
    ratios = [f"{label(window)} ÷ {name}" for name in references for window in windows]
    heads = ["server", *rates, *ratios, "server busy", "client busy"]
    names = list(dict.fromkeys(name for name, _ in comparison.bursts))
    rows = [_row(comparison, name, references) for name in names]
    return "\n".join(_line(cells) for cells in (heads, ["---"] * len(heads), *rows))


def label(window: int) -> str:
    """Return the metric's name: cpu1 with one message in flight, cpuW with the usual window."""
    return "cpu1" if window == 1 else "cpuW"


def document(comparison: Comparison, references: Sequence[str]) -> dict[str, object]:
    """Return everything measured, ready for JSON; rates are deliveries per server CPU-second."""
    return {
        "python": platform.python_version(),
        "plan": comparison.plan._asdict(),
        "servers": [
            {
                "server": name,
                "window": window,
                "metric": label(window),
                "rates": [round(burst.per_cpu_second) for burst in bursts],
                "ratios": {
                    reference: [round(ratio, 3) for ratio in comparison.ratios(name, reference, window)]
                    for reference in references
                },
                "client_busy": [round(burst.client_cpu / burst.seconds, 3) for burst in bursts],
                "server_busy": [round(burst.server_cpu / burst.seconds, 3) for burst in bursts],
            }
            for (name, window), bursts in sorted(comparison.bursts.items())
        ],
    }


def _row(comparison: Comparison, name: str, references: Sequence[str]) -> list[str]:
    windows = comparison.plan.windows
    bursts = {window: comparison.bursts[name, window] for window in windows}
    rates = [f"{median(burst.per_cpu_second for burst in bursts[window]) / 1000:.1f}" for window in windows]
    ratios = [_spread(comparison.ratios(name, reference, window)) for reference in references for window in windows]
    return [name, *rates, *ratios, *_busy(bursts[max(windows)])]


def _busy(bursts: Sequence[Burst]) -> list[str]:
    server = median(burst.server_cpu / burst.seconds for burst in bursts)
    client = median(burst.client_cpu / burst.seconds for burst in bursts)
    return [f"{server:.0%}", f"{client:.0%}"]


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
