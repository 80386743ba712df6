"""The operator's own receivers take the place of nobody, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.alerts import FOLDER
from stack.place import CLONE
from tests.monitoring import programs

CONFIG = FOLDER / "alertmanager.yml"
EXAMPLE = FOLDER / "receivers.example.yml"


def receivers(path: Path) -> subprocess.CompletedProcess[str]:
    """What an operator runs, with an interpreter that has the standard library only."""
    words = [sys.executable, "-I", "-c", "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "]
    words[-1] += "runpy.run_module('monitoring.receivers', run_name='__main__')"
    return subprocess.run([*words, CLONE, path], capture_output=True, text=True, check=False)


def own(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    """An operator's file."""
    path = tmp_path / "receivers.yml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_operator_s_receivers_take_their_place(tmp_path: Path) -> None:
    """The example, too, is a configuration that Alertmanager accepts, and the routes are the committed ones."""
    done = receivers(own(tmp_path, EXAMPLE.read_text()))
    assert done.returncode == 0, done.stderr
    config = tmp_path / "alertmanager.yml"
    config.write_text(done.stdout)
    checked = programs.run("amtool", "check-config", config)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 receivers" in checked.stdout
    shown = [programs.run("amtool", "config", "routes", f"--config.file={one}").stdout for one in (config, CONFIG)]
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("receivers: [{name: page}, {name: ticket}]\n", 0o640, "others can read it"),
        ("receivers: [{name: page}]\n", 0o600, "no receiver with the name ticket"),
        ("receivers: [{name: page}, {name: ticket}]\nroute: {receiver: page}\n", 0o600, "its top level"),
        ("", 0o600, "its top level"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, mode: int, why: str) -> None:
    """With one sentence that does not show what stands in it."""
    done = receivers(own(tmp_path, text, mode))
    assert (done.returncode, done.stdout) == (78, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its name."""
    done = receivers(tmp_path / "none.yml")
    assert (done.returncode, "none.yml" in done.stderr) == (78, True)
