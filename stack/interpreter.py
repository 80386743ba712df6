"""Which Python the stack runs on: one that an unprivileged user may execute."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from stack.place import reachable

NAMES = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
OLDEST = (3, 11)
SHOW = "import sys; print(sys.version_info[0], sys.version_info[1])"


def candidates() -> list[Path]:
    """The distribution's interpreters first, since everyone can run them, then those on PATH."""
    system = [Path("/usr/bin") / name for name in NAMES]
    on_path = [Path(found) for name in NAMES if (found := shutil.which(name))]
    return [path for path in dict.fromkeys([*system, *on_path]) if path.exists()]


def version(path: Path) -> tuple[int, int]:
    """The version `path` says it has; (0, 0) when it does not run."""
    try:
        done = subprocess.run([path, "-I", "-c", SHOW], capture_output=True, text=True, timeout=20, check=True)
        major, minor = done.stdout.split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return (0, 0)
    return (int(major), int(minor))


def for_everyone(path: Path) -> bool:
    """Whether a user who owns nothing can run `path`, links followed."""
    return reachable(path.parent) and reachable(path.resolve().parent)


def choose(paths: Iterable[Path] | None = None, root: bool | None = None) -> Path | None:
    """The first interpreter of at least 3.11 that the stack's users can run; None when the machine has none."""
    as_root = os.geteuid() == 0 if root is None else root
    for path in candidates() if paths is None else paths:
        if (not as_root or for_everyone(path)) and version(path) >= OLDEST:
            return path
    return None


def has_venv(python: Path) -> bool:
    """Whether `python -m venv` can put pip into what it makes: Debian ships that apart, as python3-venv."""
    done = subprocess.run([python, "-I", "-c", "import ensurepip, venv"], capture_output=True, check=False)
    return done.returncode == 0
