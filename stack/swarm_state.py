"""What one manager of a cluster knows, for the others: `python3 -m stack.swarm_state give`, and `take` on their side.

Settings, secrets and certificates, as one line of text: they pass from one host to the others without lying anywhere
between. Whoever has them can take the first manager's place.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from stack import lock
from stack import place as places

LEFT_OUT = (lock.NAME, "backups")
"""Of each host its own."""

Known = dict[str, tuple[int, int, int, bytes]]
"""Mode, owner, group and content of each file and folder, by its path."""


def paths(state: Path) -> Iterator[Path]:
    """Everything that the others are given, folders before what is in them."""
    yield from (one for one in sorted(state.rglob("*")) if one.relative_to(state).parts[0] not in LEFT_OUT)


def known(state: Path) -> Known:
    """What there is. Links and sockets are no part of it."""
    found: Known = {}
    for one in paths(state):
        if not one.is_symlink() and (one.is_file() or one.is_dir()):
            about = one.stat()
            content = one.read_bytes() if one.is_file() else b""
            found[str(one.relative_to(state))] = (about.st_mode, about.st_uid, about.st_gid, content)
    return found


def give(state: Path) -> str:
    """All of it in one line."""
    return json.dumps(
        {name: (*about, base64.b64encode(content).decode()) for name, (*about, content) in known(state).items()}
    )


def take(state: Path, given: str) -> bool:
    """Put it in the place of what is there, once all of it has come; returns whether anything is different now."""
    coming = state.with_name(state.name + ".coming")
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(mode=0o700)
    for name, (mode, owner, group, content) in json.loads(given).items():
        path = coming / name
        if stat.S_ISDIR(mode):
            path.mkdir()
        else:
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(content))
        os.chown(path, owner, group)
        path.chmod(stat.S_IMODE(mode))
    if state.exists() and known(coming) == known(state):
        shutil.rmtree(coming)
        return False
    for name in LEFT_OUT:
        if (state / name).exists():
            (state / name).rename(coming / name)
    coming.chmod(0o755)
    former = state.with_name(state.name + ".former")
    shutil.rmtree(former, ignore_errors=True)
    if state.exists():
        state.rename(former)
    coming.rename(state)
    shutil.rmtree(former, ignore_errors=True)
    return True


def main() -> int:
    """Run one of them."""
    state = places.choose(os.environ).state
    if sys.argv[1:] == ["give"]:
        print(give(state))
    else:
        print("replaced" if take(state, sys.stdin.read()) else "same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
