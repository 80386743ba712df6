"""Alertmanager's configuration with the operator's own receivers.

`python3 -m monitoring.receivers FILE >alertmanager.yml`. Routes and inhibitions stay the committed ones. The file holds
addresses and secrets, so nobody else may read it. Exit code 0, or 78 with one sentence.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

COMMITTED = Path(__file__).with_name("alertmanager.yml")
NAMES = ("page", "ticket")
KEYS = {"global", "receivers", "templates"}
EX_CONFIG = 78


class ReceiversError(Exception):
    """The operator's file cannot be used; the sentence says why."""


def configured(receivers: str, committed: str) -> str:
    """The committed configuration, its receivers replaced. Raises ReceiversError.

    Only the top level is looked at, since no parser of YAML need be here: `amtool check-config` does the rest.
    """
    keys = re.findall(r"^(\w+):", receivers, re.MULTILINE)
    if "receivers" not in keys or not KEYS.issuperset(keys):
        raise ReceiversError(f"its top level is {', '.join(keys) or 'empty'}, and may be {', '.join(sorted(KEYS))}")
    for name in NAMES:
        if not re.search(rf"\bname[\"']?: *[\"']?{name}\b", receivers):
            raise ReceiversError(f"it has no receiver with the name {name}")
    kept, _, _ = committed.partition("\nreceivers:")
    return f"{kept}\n{receivers.strip()}\n"


def read(path: Path) -> str:
    """The operator's file. Raises ReceiversError when it is not there or others can read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise ReceiversError(f"others can read it. Run: chmod 600 {path}")
        return path.read_text()
    except OSError as error:
        raise ReceiversError(str(error.strerror)) from None


def main(words: list[str]) -> int:
    """Print the configuration."""
    path = Path(words[0])
    try:
        sys.stdout.write(configured(read(path), COMMITTED.read_text()))
    except ReceiversError as error:
        sys.stderr.write(f"The file of receivers {path} cannot be used: {error}.\n")
        return EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
