"""`python3 -m lab up|down [NAME]`, called by `make lab`: one host from bare to a chat that is spoken to from outside.

KEEP=1 leaves the lab running; `down` removes what was kept.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from lab import outside
from lab.lab import Lab, remove, running
from stack.problem import Problem

NAME = "portcullis-lab"


def up(name: str) -> None:
    """Start a bare host, run site.yml, speak to the chat from another machine, tear down."""
    began = time.monotonic()

    def say(sentence: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {sentence}", flush=True)

    keep = os.environ.get("KEEP") == "1"
    with running(name, ("one",), say, keep=keep) as lab:
        converge(lab)
        host = lab.hosts[0]
        say(f"a WSS round trip from outside: {outside.round_trip(host, outside.NAME, outside.token(host))}")
        if keep:
            say(f"kept: ssh {' '.join(host.ssh_options())} deploy@{host.address}")
            say(f"      the inventory is {lab.inventory}; make lab-down removes it all")
    say("done")


def converge(lab: Lab) -> None:
    """Run site.yml with its words on the terminal. Raises Problem when it fails."""
    lab.say("ansible-playbook site.yml")
    lab.echo = lambda line: print(line, end="", flush=True)
    if lab.playbook("site").code:
        raise Problem("site.yml failed.")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("name", nargs="?", default=NAME)
    words = parser.parse_args()
    # A terminated command tears its lab down like an interrupted one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        up(words.name) if words.what == "up" else remove(words.name)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
