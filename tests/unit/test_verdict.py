"""The two tables are whole, and mean what their numbers promise."""

from __future__ import annotations

from app.verdict import CLOSES, REASONS, CloseCode, Reason


def test_every_reason_has_a_meaning() -> None:
    """A status of the kind that the reason is, and a sentence for a person."""
    assert set(REASONS) == set(Reason)
    for reason, meaning in REASONS.items():
        assert 400 <= meaning.status < 600 and meaning.text.endswith(".")
        assert (meaning.status == 401) == (reason.startswith("token_") or reason == "credential_missing")


def test_every_close_code_has_a_word() -> None:
    """Its own, short enough for a close frame (123 bytes, RFC 6455 §5.5); ours are in the private range."""
    assert set(CLOSES) == set(CloseCode)
    words = [word for word, _ in CLOSES.values()]
    assert len(set(words)) == len(words)
    assert all(len(word) <= 123 and text.endswith(".") for word, text in CLOSES.values())
    assert all(code < 1016 or 4000 <= code < 5000 for code in CloseCode)
    again = {CloseCode.SLOW_CONSUMER, CloseCode.CREDENTIAL_EXPIRED}
    assert {code for code in CloseCode if 4000 <= code < 4500} == again
