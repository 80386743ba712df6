"""The outbox is bounded in bytes, and the first close wins."""

from __future__ import annotations

from app.metrics import Metrics
from app.verdict import CloseCode
from tests.unit.live import connection


def _value(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(name) or 0.0


def test_a_reader_too_far_behind_is_closed_once() -> None:
    """What does not fit beside what is waiting closes it; an empty outbox takes a frame of any size."""
    metrics = Metrics()
    live, wire = connection(metrics=metrics)
    assert live.send(b"x" * 300_000)
    wire.stuck = 262_140
    assert live.waiting == 262_140
    assert live.send(b"1234")
    assert not live.send(b"12345")
    assert not live.send(b"12345")
    assert wire.closed == [(4000, "slow_consumer")]
    assert wire.data.endswith(b"x1234")
    assert _value(metrics, "chat_slow_consumers_total") == 1


def test_ephemeral_frames_go_first() -> None:
    """They are left out as soon as half of the outbox is waiting, and close nobody."""
    metrics = Metrics()
    live, wire = connection(metrics=metrics)
    wire.stuck = 131_072
    live.send_ephemeral(b"in")
    wire.stuck = 131_073
    live.send_ephemeral(b"out")
    assert (wire.data, wire.closed) == (b"in", [])
    assert _value(metrics, "chat_outbox_dropped_total") == 1


def test_the_first_close_wins() -> None:
    """Its code is the one that is logged and counted."""
    live, wire = connection()
    live.close(CloseCode.FLOOD)
    live.close(CloseCode.RESTART)
    assert live.close_code == 4500
    assert wire.closed == [(4500, "flood")]
