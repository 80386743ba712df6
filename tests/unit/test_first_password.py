"""stack/first_password.py: the first administrator's password in a file."""

from __future__ import annotations

import stat
from pathlib import Path

from stack import first_password


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """Mode 0600 from the first byte on, also in the place of a file that everybody could read."""
    target = tmp_path / "password"
    target.write_text("older")
    target.chmod(0o644)
    first_password.keep(target, "saffron")
    assert target.read_text() == "saffron\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever links the name elsewhere learns nothing."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "password").symlink_to(elsewhere)
    (tmp_path / "password.draft").symlink_to(elsewhere)
    first_password.keep(tmp_path / "password", "saffron")
    assert elsewhere.read_text() == "untouched"
    assert not (tmp_path / "password").is_symlink()
