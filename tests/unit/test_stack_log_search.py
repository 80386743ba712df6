"""Finding a request in the logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stack import log_search
from stack.problem import Problem

ID = "5f2b8c1e9a4d4c07b6e3d1f0a7c89e52"


def test_what_is_asked() -> None:
    """An id, nothing, or a sentence."""
    assert log_search.asked({"REQUEST": f" {ID} "}) == ID
    assert log_search.asked({}) is None and log_search.asked({"REQUEST": ""}) is None
    for wrong in (ID[1:], ID.upper(), f"{ID}0", "-e", ".*"):
        with pytest.raises(Problem, match="X-Request-Id"):
            log_search.asked({"REQUEST": wrong})


def test_rotated_files_and_links(tmp_path: Path) -> None:
    """Each file once, however many names it has, the oldest first; what is no log or no file is left alone."""
    shown, programs = tmp_path / "logs", tmp_path / "programs"
    for folder in (shown, programs):
        folder.mkdir()
    for age, (path, text) in enumerate(
        {
            shown / "edge-access.log": f"c {ID}\nother\n",
            programs / "app.log": f"b {ID}",
            programs / "app.log.1": f"a {ID}\n",
            shown / "notes.txt": f"x {ID}\n",
        }.items()
    ):
        path.write_text(text)
        os.utime(path, (1000 - age, 1000 - age))
    (shown / "app.log").symlink_to(programs / "app.log")
    (shown / "gone.log").symlink_to(programs / "gone.log")
    os.mkfifo(shown / "pipe.log")
    assert list(log_search.in_folders([shown, programs], ID)) == [f"a {ID}", f"b {ID}", f"c {ID}"]
