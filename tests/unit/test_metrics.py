"""The exposition: names as the design says, every labelled series there from the start."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.backends import build
from app.keys import create_key
from app.limiter import MESSAGE_LIMITS
from app.metrics import Metrics
from app.outcome import Outcome
from app.protocol import Invalid
from app.settings import Settings
from app.sign_in import SIGN_INS
from app.verdict import CLOSE_LABELS, CloseCode, Reason, close_label


def test_every_series_starts_at_zero(tmp_path: Path) -> None:
    """One a reason, limit, kind of bad frame, close code and outcome, and no other label."""
    create_key(tmp_path / "secrets" / "signing")
    backends = build(Settings(state=tmp_path))
    families = {
        family.name: family for family in text_string_to_metric_families(backends.metrics.exposition().decode())
    }
    backends.auth.close()
    for name, label, values in (
        ("chat_handshakes", "verdict", {"accepted", "refused"}),
        ("chat_handshakes_rejected", "reason", {str(reason) for reason in Reason}),
        ("chat_messages_throttled", "limit", {str(limit) for limit in MESSAGE_LIMITS}),
        ("chat_messages_invalid", "reason", {str(reason) for reason in Invalid}),
        ("chat_messages", "outcome", {str(one) for one in Outcome}),
        ("chat_closes", "code", {*CLOSE_LABELS}),
        ("chat_sign_ins", "outcome", {*map(str, SIGN_INS)}),
        ("chat_store_errors", "verb", {"append"}),
        ("chat_degraded", "backend", {"store"}),
    ):
        samples = families[name].samples
        assert {sample.labels[label] for sample in samples} == values
        assert all(sample.value == 0 and set(sample.labels) == {label} for sample in samples)


def test_a_close_counts_under_its_code_or_as_another() -> None:
    """A client may say any code: what is not in the closed set is `other`."""
    assert {str(int(code)) for code in CloseCode} | {"1000", "1006", "other"} <= {*CLOSE_LABELS}
    assert [close_label(code) for code in (1000, 4500, 3777, 0)] == ["1000", "4500", "other", "other"]


def test_names_follow_the_convention() -> None:
    """Counters end in _total, what is measured ends in its base unit (the exposition's own rule)."""
    for family in text_string_to_metric_families(Metrics().exposition().decode()):
        assert family.name.startswith("chat_")
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
