"""Tools in environments of their own: their needs contradict the product's, and each other's.

`python -m tests.tools NAME …` makes the environments beforehand: without a name, those of `make test`.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("sslyze", "gixy-ng", "gixy-next", "grafana", "ansible-lint")


def tool(name: str) -> Path:
    """The folder of a tool's commands, made from requirements/NAME.txt with every hash checked when it is missing or
    the lock has changed. Raises CalledProcessError with pip's words on stderr.
    """
    lock = ROOT / "requirements" / f"{name}.txt"
    folder = ROOT / "var" / "tools" / name
    mark, wanted = folder / "lock.sha256", hashlib.sha256(lock.read_bytes()).hexdigest()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Two test runs may ask at once.
    with (folder.parent / f"{name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            _make(folder, lock)
            mark.write_text(wanted)
    return folder / "bin"


def _make(folder: Path, lock: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--require-hashes", "--no-deps", "-r", str(lock)], check=True)


if __name__ == "__main__":
    for asked in sys.argv[1:] or NAMES:
        print(tool(asked).parent)
