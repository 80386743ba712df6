"""The runtime environment: exactly what requirements/run.txt names, hash by hash."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from stack.place import Place
from stack.problem import Problem


def wanted(place: Place, python: Path) -> str:
    """What the environment must be made from: its locks and its interpreter."""
    locks = [(place.clone / "requirements" / name).read_bytes() for name in ("uv.txt", "run.txt")]
    return hashlib.sha256(b"\0".join([*locks, str(python.resolve()).encode()])).hexdigest()


def current(place: Place, python: Path) -> bool:
    """Whether the environment is there and complete."""
    mark = place.venv / "made-from"
    return place.python.exists() and mark.exists() and mark.read_text() == wanted(place, python)


def make(place: Place, python: Path) -> None:
    """Make the environment anew; raises Problem when a package cannot be had.

    pip and uv read their usual configuration and environment (indices, proxies, CA bundles).
    """
    requirements = place.clone / "requirements"
    installer = place.state / "uv"
    shutil.rmtree(place.venv, ignore_errors=True)
    _run([python, "-m", "venv", "--clear", installer])
    _run([installer / "bin" / "pip", "install", "-q", "--require-hashes", "-r", requirements / "uv.txt"])
    uv = installer / "bin" / "uv"
    _run([uv, "venv", "-q", "--clear", "--python", python, place.venv])
    sync: list[str | Path] = [
        uv,
        "pip",
        "sync",
        "-q",
        "--python",
        place.python,
        "--require-hashes",
        "--compile-bytecode",
    ]
    _run([*sync, requirements / "run.txt"])
    (place.venv / "made-from").write_text(wanted(place, python))


def _run(words: list[str | Path]) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(str(word) for word in words[:4])
        raise Problem(f"`{shown} …` failed:\n{_last(done.stdout + done.stderr)}\nIs the package index reachable?")


def _last(text: str, lines: int = 12) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines()[-lines:])
