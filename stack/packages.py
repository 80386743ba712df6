"""The distribution's packages: which are missing, whether we may install them, and installing them quietly."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from stack import interpreter
from stack.problem import Problem

COMMANDS = {"nginx": "nginx", "mtail": "mtail", "openssl": "openssl"}
"""Command by package."""
SEARCHED = os.pathsep.join(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
"""An unprivileged user's PATH often lacks the folders where Debian puts nginx."""
INSTALL = r"""
# Debian asks policy-rc.d before a package starts its service: the stack starts nginx and mtail itself, tests start
# PostgreSQL, Redis and Prometheus. A policy that is already there is somebody else's, and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >&2; }
# A fresh machine has no package lists yet, or old ones that name files which are no longer there.
apt install -y --no-install-recommends "$@" 2>/dev/null ||
    { apt update && apt install -y --no-install-recommends "$@"; } || exit 1
for name in "$@"; do
    case $name in nginx|mtail|postgresql|redis-server|prometheus*)
        systemctl disable --quiet "$name" 2>/dev/null || true ;;
    esac
done
"""


def command(name: str) -> Path | None:
    """Where the command `name` is, in the folders of the system."""
    found = shutil.which(name, path=SEARCHED)
    return Path(found) if found else None


def postgres(name: str) -> Path | None:
    """A program of the newest PostgreSQL server: Debian puts those of each major version into a folder of their own."""
    found = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    return max(found, key=lambda path: float(path.parts[-3]), default=None)


def missing() -> list[str]:
    """The packages the stack needs and this machine lacks."""
    names = [package for package, name in COMMANDS.items() if command(name) is None]
    python = interpreter.choose()
    return names if python is None or interpreter.has_venv(python) else [*names, "python3-venv"]


def prefix() -> list[str] | None:
    """What to put before a command that root must run: nothing, sudo, or None when we may not."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def by_hand(names: list[str]) -> str:
    """The exact command with which a person installs `names`."""
    return f"sudo apt-get install --no-install-recommends {' '.join(names)}"


def install(names: list[str]) -> None:
    """Install `names` without starting their services, apt's words on standard error.

    Raises Problem with the command to run by hand when we may not, or when apt fails.
    """
    before = prefix()
    if before is None:
        raise Problem(f"Install what is missing, then run make up again: {by_hand(names)}")
    script = [*before, "sh", "-c", INSTALL, "sh", *names]
    if subprocess.run(script, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise Problem(f"apt-get failed; what it said is above. When that is solved: {by_hand(names)}")
