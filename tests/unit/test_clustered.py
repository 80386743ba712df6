"""stack/clustered.py: what the engine says late."""

from __future__ import annotations

import subprocess

import pytest

from stack import clustered, engine, swarm_job
from stack.clustered import Clustered


def test_logs_that_do_not_end_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What there was is shown, and that it may not be all."""

    def hangs(*_words: str, seconds: float) -> None:
        raise subprocess.TimeoutExpired("docker", seconds, output=b'{"request_id": "abc"}\n{"request_id": "other"}\n')

    class Quiet:
        def config(self) -> dict[str, object]:
            return {}

    monkeypatch.setattr(engine, "attempt", hangs)
    monkeypatch.setattr(swarm_job, "run", lambda *_, **__: "edge abc")
    monkeypatch.setattr(Clustered, "cluster", Quiet())
    found = Clustered(None, {}).logged("abc")  # type: ignore[arg-type]
    assert found == ["edge abc", '{"request_id": "abc"}']
    assert f"after {clustered.LOGS_SECONDS:.0f} s" in capsys.readouterr().err
