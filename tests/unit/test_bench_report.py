"""bench/report.py and bench/comparison.py: medians, and ratios pair by pair."""

import json
import os
import subprocess
import sys
import time

from bench import report
from bench.comparison import Comparison, Plan
from bench.room import Burst
from bench.server import cpu_seconds, family


def comparison() -> Comparison:
    """Three rounds in which the machine halves its speed once for both."""
    made = Comparison(Plan(receivers=2, windows=(8, 1), rounds=3, seconds=1.0))
    for window in (8, 1):
        for rate in (1000, 500, 1000):
            made.add("tutorial", window, Burst(rate, 1.0, 1.0, 0.25))
            made.add("fast", window, Burst(rate * 3, 1.0, 1.0, 0.5))
    return made


def test_ratios_are_taken_round_by_round() -> None:
    """Drift that meets both servers alike does not show in the ratio."""
    assert comparison().ratios("fast", "tutorial", 8) == [3.0, 3.0, 3.0]


def test_the_table_names_every_server_and_metric() -> None:
    """One row per server with medians, spreads and how busy both sides were."""
    head, _, _, fast = report.table(comparison(), ["tutorial"]).splitlines()
    assert head.startswith("| server | cpuW k/s | cpu1 k/s | cpuW ÷ tutorial | cpu1 ÷ tutorial |")
    assert fast == "| fast | 3.0 | 3.0 | 3.00 (3.00 to 3.00) | 3.00 (3.00 to 3.00) | 100% | 50% |"


def test_the_document_is_json_with_every_burst() -> None:
    """A recorded result keeps all rounds."""
    found = json.loads(json.dumps(report.document(comparison(), ["tutorial"])))
    assert found["servers"][0]["rates"] == [3000, 1500, 3000]
    assert found["servers"][0]["ratios"] == {"tutorial": [3.0, 3.0, 3.0]}


def test_cpu_seconds_follow_a_busy_child() -> None:
    """A process is found with its children, and their CPU time grows while they compute."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(sum(range(10**7)))\\ninput()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        pids = family(process.pid)
        assert len(pids) == 2
        assert os.getpid() not in pids
        start = time.monotonic()
        assert 0.01 < sum(cpu_seconds(pid) for pid in pids) < start
        process.stdin.write(b"\n")
