"""The edge's counters are there from the start, and only while they are really counted."""

from __future__ import annotations

from stack import exposition
from stack.edge_counts import COUNTERS, broken, completed
from tests.monitoring import series

QUIET = 'mtail_prog_loads_total{prog="edge.mtail"} 1\ngo_threads 7\n'
ONE = """\
# HELP edge_rejected_total defined at edge.mtail:6:9-27
# TYPE edge_rejected_total counter
edge_rejected_total{reason="edge_rate"} 3
"""


def samples(text: str) -> dict[str, float]:
    """Each series of the edge's with its value."""
    found = [one.samples for name, one in exposition.families(text).items() if name.startswith("edge_")]
    return {name: float(line.removeprefix(name)) for one in found for name, line in one.items()}


def test_the_values_are_those_of_the_program() -> None:
    """All that nginx/mtail/edge.mtail counts, and nothing else."""
    assert {name: set(values) for name, (_, values) in COUNTERS.items()} == series.of_edge()


def test_what_did_not_happen_yet_stands_at_zero() -> None:
    """Every value of every label, whether mtail has read a line or not."""
    wanted = {f'{name}{{{label}="{value}"}}' for name, (label, values) in COUNTERS.items() for value in values}
    assert samples(completed(QUIET)) == dict.fromkeys(wanted, 0.0)
    assert samples(completed(ONE)) == dict.fromkeys(wanted, 0.0) | {'edge_rejected_total{reason="edge_rate"}': 3.0}


def test_what_was_said_stays_said() -> None:
    """One header for each family, mtail's own metrics untouched."""
    text = completed(ONE + QUIET)
    assert text.count("# TYPE edge_rejected_total") == text.count("# HELP edge_rejected_total") == 1
    assert QUIET in text


def test_nothing_is_made_up_for_a_program_that_does_not_count() -> None:
    """A zero would say that nothing was refused, and nobody knows."""
    text = 'mtail_prog_load_errors_total{prog="edge.mtail"} 1\n'
    assert completed(text) == text
    assert broken(text) == text.splitlines()
    assert broken('mtail_prog_load_errors_total{prog="edge.mtail"} 0\n') == []
