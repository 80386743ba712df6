"""Run under the supervisor in nginx's stead: make room for a new nginx, then become it.

Arguments: the state folder, then nginx's command.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from stack import processes
from stack.place import CLONE, Place


def orphans(place: Place) -> list[processes.Process]:
    """Workers that outlived a killed master of ours: they keep its ports, and answer on them."""
    found = [one for one in processes.ours(place) if one.program == "edge"]
    pids = {one.pid for one in found}
    return [one for one in found if one.parent not in pids]


def main() -> None:
    """Replace this process by nginx. The pid stays the same, so the supervisor's signals reach nginx."""
    place = Place(CLONE, Path(sys.argv[1]))
    # QUIT makes an orphan close its listening sockets at once and end when its open sockets do: nobody is cut off.
    processes.send(orphans(place), signal.SIGQUIT, place)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
