"""Python environments that are exactly what a lock names, hash by hash."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack.problem import Problem


@dataclass(frozen=True)
class Environment:
    """One environment: its folder, the lock it is made from, and the folder of the uv that makes it."""

    folder: Path
    lock: Path
    installer: Path
    python: Path

    @property
    def mark(self) -> Path:
        """Written last, so that an environment that was cut off is made again."""
        return self.folder / "made-from"

    def wanted(self) -> str:
        """What the mark of a current environment says."""
        locks = [self.lock.read_bytes(), str(self.python.resolve()).encode()]
        return hashlib.sha256(b"\0".join(locks)).hexdigest()

    def current(self) -> bool:
        """Whether the environment is there, complete, and made from today's lock."""
        there = (self.folder / "bin" / "python").exists() and self.mark.exists()
        return there and self.mark.read_text() == self.wanted()

    def make(self, anew: bool = True) -> None:
        """Bring the environment to what the lock says, from nothing unless `anew` is false.

        pip and uv read their usual configuration and variables (indices, proxies, CA bundles). Raises Problem when
        a package cannot be had.
        """
        uv = install_uv(self.installer, self.lock.with_name("uv.txt"), self.python)
        self.mark.unlink(missing_ok=True)
        if anew or not (self.folder / "bin" / "python").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            _run([uv, "venv", "-q", "--python", self.python, self.folder])
        python = self.folder / "bin" / "python"
        _run([uv, "pip", "sync", "-q", "--python", python, "--require-hashes", "--compile-bytecode", self.lock])
        self.mark.write_text(self.wanted())


def install_uv(folder: Path, lock: Path, python: Path) -> Path:
    """Put the locked uv into `folder` unless it is there already; returns its path."""
    mark, wanted = folder / "made-from", hashlib.sha256(lock.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != wanted:
        _run([python, "-m", "venv", "--clear", folder])
        _run([folder / "bin" / "pip", "install", "-q", "--require-hashes", "-r", lock])
        mark.write_text(wanted)
    return folder / "bin" / "uv"


def _run(words: list[str | Path]) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(str(word) for word in words[:4])
        raise Problem(f"`{shown} …` failed:\n{_last(done.stdout + done.stderr)}\nIs the package index reachable?")


def _last(text: str, lines: int = 12) -> str:
    return "\n".join("    " + line for line in text.strip().splitlines()[-lines:])
