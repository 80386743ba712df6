"""What checks, tests, load and deployment need beyond the product.

`python3 -m stack.development environment|ansible|load|machine`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from stack import interpreter, packages, unix_user, valkey
from stack.environment import Environment
from stack.place import CLONE
from stack.problem import Problem

PACKAGES = {
    "nginx": "nginx",
    "mtail": "mtail",
    "openssl": "openssl",
    "chromium": "chromium",
    "libnss3-tools": "certutil",
    "iproute2": "ip",
    "redis-server": "redis-server",
    "mmdebstrap": "mmdebstrap",
    "age": "age",
    "certbot": "certbot",
    "pebble": "pebble",
    "prometheus": "promtool",
    "prometheus-alertmanager": "amtool",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
}
"""Command by package: the browser, the tool that makes it trust the CA, addresses on lo, Redis, Valkey's extractor,
what encrypts backups, an ACME client and a server to test with, and what watches: each rule's series are asked of the
exporter itself.
"""
FONTS = Path("/usr/share/fonts")
"""Without any font the browser's pictures show boxes."""


def environment() -> None:
    """Make .venv, with everything that is Python, unless it is current."""
    _make(CLONE / ".venv", "dev.txt")


def load() -> None:
    """Make the load generator's environment, unless it is current: no other gets gevent's sockets."""
    _make(CLONE / "var" / "dev" / "load", "load.txt")


def ansible() -> None:
    """Make the controller's environment, unless it is current."""
    _make(CLONE / "var" / "dev" / "ansible", "ansible.txt")


def _make(folder: Path, lock: str) -> None:
    python = interpreter.choose()
    if python is None:
        raise Problem("No Python 3.11 or later was found: sudo apt-get install python3 python3-venv")
    one = Environment(folder, CLONE / "requirements" / lock, CLONE / "var" / "dev" / "uv", python)
    if not one.current():
        print(f"Making {one.folder.relative_to(CLONE)} from {one.lock.relative_to(CLONE)}.", flush=True)
        one.make(anew=False)


def machine() -> None:
    """Install the packages that the tests need and this machine lacks, root's stacks' users, and Valkey in a folder."""
    python = interpreter.choose()
    names = [package for package, command in PACKAGES.items() if packages.command(command) is None]
    if python and not interpreter.has_venv(python):
        names.append("python3-venv")
    if packages.postgres("postgres") is None:
        names.append("postgresql")
    if not any(FONTS.rglob("*.ttf")):
        names.append("fonts-dejavu-core")
    if names:
        print(f"Installing with apt-get: {' '.join(names)}", flush=True)
        packages.install(names)
    unix_user.create()
    valkey.make()


def main() -> int:
    """Run the step that is named."""
    try:
        {"environment": environment, "ansible": ansible, "load": load, "machine": machine}[sys.argv[1]]()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
