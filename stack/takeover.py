"""Run under the supervisor in a program's stead: clear away what a killed one has left, then become the program.

Arguments: `edge` or `mtail`, the state folder, then the program's command.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from stack import edge_config, processes
from stack.place import CLONE, Place


def orphans(place: Place) -> list[processes.Process]:
    """nginx workers that outlived a killed master of ours: they keep its ports, and answer on them."""
    found = [one for one in processes.ours(place) if one.program == "edge"]
    pids = {one.pid for one in found}
    return [one for one in found if one.parent not in pids]


def clear(program: str, place: Place) -> None:
    """Make room for a new `program`."""
    if program == "edge":
        # QUIT makes an orphan close its listening sockets at once and end when its open sockets do: nobody is cut off.
        processes.send(orphans(place), signal.SIGQUIT, place)
    if program == "mtail":
        # mtail does not bind a socket file that a killed one has left.
        edge_config.mtail_socket(place).unlink(missing_ok=True)


def main() -> None:
    """Replace this process by the program. The pid stays the same, so the supervisor's signals reach it."""
    clear(sys.argv[1], Place(CLONE, Path(sys.argv[2])))
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606


if __name__ == "__main__":
    main()
