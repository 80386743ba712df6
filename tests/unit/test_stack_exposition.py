"""Making one exposition of several."""

from __future__ import annotations

from stack.exposition import families, merge

APP = """\
# HELP chat_closes_total closes
# TYPE chat_closes_total counter
chat_closes_total{code="1000"} 3.0
# HELP chat_ack_seconds acks
# TYPE chat_ack_seconds histogram
chat_ack_seconds_bucket{le="0.1"} 1.0
chat_ack_seconds_bucket{le="+Inf"} 1.0
chat_ack_seconds_sum 0.05
chat_ack_seconds_count 1.0
# TYPE process_open_fds gauge
process_open_fds 10.0
"""
EDGE = """\
# HELP chat_edge_total edge
# TYPE chat_edge_total counter
chat_edge_total{reason="a b"} 5
# TYPE process_open_fds gauge
process_open_fds 99
# TYPE go_threads gauge
go_threads 7
# HELP chat_closes_total again
# TYPE chat_closes_total counter
chat_closes_total{code="1000"} 7
chat_closes_total{code="1001"} 2
"""


def test_families_keep_their_parts() -> None:
    """A histogram's buckets, sum and count belong to it."""
    found = families(APP)
    assert list(found) == ["chat_closes_total", "chat_ack_seconds", "process_open_fds"]
    assert len(found["chat_ack_seconds"].samples) == 4


def test_merge_gives_each_family_one_header() -> None:
    """Shared families are joined, the first sample of a series wins, mtail's own process is left out."""
    text = merge([APP, EDGE])
    assert text.count("# TYPE chat_closes_total") == 1
    assert text.count("# HELP chat_closes_total") == 1
    assert 'chat_closes_total{code="1000"} 3.0\nchat_closes_total{code="1001"} 2\n' in text
    assert 'chat_edge_total{reason="a b"} 5\n' in text
    assert "process_open_fds 10.0" in text
    assert "process_open_fds 99" not in text
    assert "go_threads" not in text


def test_merge_of_one_changes_nothing() -> None:
    """What is valid already stays as it is."""
    assert merge([APP]) == APP


def test_a_label_may_hold_braces_and_spaces() -> None:
    """The series ends at its last brace; what follows is the value."""
    text = 'x{a="} 1"} 2\n'
    assert list(families(text)["x"].samples) == ['x{a="} 1"}']
