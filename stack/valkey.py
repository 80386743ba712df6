"""The Valkey that the tests run: Debian 13's, in a folder, on whatever distribution this machine has.

It is extracted, not installed, and started with the loader and the libraries that came with it.
"""

from __future__ import annotations

import shutil
import subprocess

from stack.place import CLONE
from stack.problem import Problem

FOLDER = CLONE / "var" / "dev" / "valkey"
_MAKE = ("mmdebstrap", "--quiet", "--mode=chrootless", "--variant=extract", "--include=valkey-server", "trixie")
"""Chrootless extraction needs no root, and no root's files are left behind."""


def make() -> None:
    """Extract it into `FOLDER` unless it is there. Raises Problem when the archive cannot be read."""
    if FOLDER.exists():
        return
    print("Extracting Debian 13's valkey-server into var/dev/valkey, some 10 MB to fetch.", flush=True)
    partial = FOLDER.with_name("valkey.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([*_MAKE, partial], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"mmdebstrap failed:\n{done.stderr.strip()}\nIs Debian's archive reachable?")
    partial.rename(FOLDER)


def server() -> list[str]:
    """The words that start it. Raises Problem when it is not there."""
    loaders = sorted(FOLDER.glob("usr/lib/*/ld-linux-*.so.*"))
    if not loaders:
        raise Problem("There is no Valkey for the tests yet: make machine")
    return [str(loaders[0]), "--library-path", str(loaders[0].parent), str(FOLDER / "usr/bin/valkey-server")]
