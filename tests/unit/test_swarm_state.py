"""stack/swarm_state.py: what one manager knows comes to another whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import swarm_state


def _state(folder: Path) -> Path:
    """A manager's state: something secret, something open, a backup of its own, and a lock."""
    (folder / "containers" / "secrets").mkdir(parents=True)
    secret = folder / "containers" / "secrets" / "password"
    secret.write_text("saffron\n")
    secret.chmod(0o400)
    (folder / "settings.env").write_text("WORKERS=2\n")
    (folder / "backups").mkdir()
    (folder / "backups" / "one.dump").write_text("mine")
    (folder / ".lock").write_text("1")
    return folder


def test_the_other_manager_has_the_same_with_the_same_rights(tmp_path: Path) -> None:
    """Backups and the lock are each host's own; what the other knew before is gone."""
    given = swarm_state.give(_state(tmp_path / "one"))
    other = tmp_path / "other"
    (other / "backups").mkdir(parents=True)
    (other / "backups" / "theirs.dump").write_text("theirs")
    (other / "stale").write_text("stale")
    assert swarm_state.take(other, given)
    assert swarm_state.known(other) == swarm_state.known(tmp_path / "one")
    assert (other / "containers" / "secrets" / "password").stat().st_mode & 0o777 == 0o400
    assert sorted(path.name for path in other.iterdir()) == ["backups", "containers", "settings.env"]
    assert [path.name for path in (other / "backups").iterdir()] == ["theirs.dump"]
    assert "saffron" not in given


def test_the_same_once_more_changes_nothing(tmp_path: Path) -> None:
    """Not even the time of a file."""
    given = swarm_state.give(_state(tmp_path / "one"))
    other = tmp_path / "other"
    swarm_state.take(other, given)
    before = (other / "settings.env").stat()
    assert not swarm_state.take(other, given)
    assert (other / "settings.env").stat() == before


def test_what_came_in_half_replaces_nothing(tmp_path: Path) -> None:
    """The line is cut off on its way."""
    one = _state(tmp_path / "one")
    other = _state(tmp_path / "other")
    (one / "settings.env").write_text("WORKERS=4\n")
    given = swarm_state.give(one)
    with pytest.raises(ValueError, match="Unterminated string"):
        swarm_state.take(other, given[: len(given) // 2])
    assert (other / "settings.env").read_text() == "WORKERS=2\n"
    assert (other / "containers" / "secrets" / "password").exists()
