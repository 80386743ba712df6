"""The files that others wrote: unmodified, with their licence, and of the version that is noted."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "app" / "web" / "vendor"
ROW = re.compile(r"^\| `(\w+)/` \|.*\| ([\d.]+) \|.*`dist/([\w.]+)` \| `(\w{64})` \|$", re.M)


def test_vendored_files_are_the_published_ones() -> None:
    """Every file is listed with its digest, names its version where it says one, and has a licence beside it."""
    noted = {FOLDER / folder / name: (version, digest) for folder, version, name, digest in ROW.findall(_notes())}
    found = {path for path in FOLDER.rglob("*") if path.is_file() and path.name not in ("README.md", "LICENSE")}
    assert found == set(noted)
    for path, (version, digest) in noted.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        assert path.suffix != ".js" or f"(v{version})" in path.read_text(encoding="utf-8")[:1000]
        assert (path.parent / "LICENSE").is_file()


def _notes() -> str:
    return (FOLDER / "README.md").read_text(encoding="utf-8")
