"""`python3 -m lab up|down [NAME]`, called by `make lab`: from bare hosts to a chat that is spoken to from outside.

One host, or with HOSTS=5 those of the example of five. KEEP=1 leaves the lab running; `down` removes what was kept.
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
FIVE = ("one", "two", "three", "four", "five")
EDGES, MANAGER = ("one", "two"), "three"
"""As ansible/inventories/five-hosts has them."""


def up(name: str) -> None:
    """Start bare hosts, run site.yml, speak to the chat from another machine, tear down."""
    began = time.monotonic()

    def say(sentence: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {sentence}", flush=True)

    keep = os.environ.get("KEEP") == "1"
    five = os.environ.get("HOSTS") == str(len(FIVE))
    hosts, example = (FIVE, "five-hosts") if five else (FIVE[:1], "")
    with running(name, hosts, say, keep=keep, example=example) as lab:
        converge(lab)
        asked = lab[MANAGER if five else hosts[0]]
        token, trusted = outside.token(asked), outside.authority(asked)
        for edge in EDGES if five else hosts:
            well = outside.round_trip(lab[edge], outside.NAME, token, trusted)
            say(f"a WSS round trip from outside, by {edge}: {well}")
        if keep:
            say(f"kept: ssh {' '.join(asked.ssh_options())} deploy@{asked.address}")
            say(f"      the inventories are {' '.join(map(str, lab.inventories()))}; make lab-down removes it all")
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
