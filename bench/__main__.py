"""`python -m bench`: compare the peers and print what one CPU-second of each delivers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import report
from bench.comparison import Plan, compare, cores
from bench.peers import PEERS, REFERENCES

WINDOW = 8
ROUNDS, SECONDS = 7, 3.0
QUICK_ROUNDS, QUICK_SECONDS = 2, 0.5


def main() -> None:
    """Run the comparison the command line asks for; exit 1 with a sentence when the run was not clean."""
    arguments = parse()
    length = (QUICK_ROUNDS, QUICK_SECONDS) if arguments.quick else (arguments.rounds, arguments.seconds)
    plan = Plan(arguments.receivers, (WINDOW, 1), *length)
    names = list(dict.fromkeys([*REFERENCES, *arguments.peers]))
    if len(set(cores())) == 1:
        say("only one core: servers and clients share it, which blurs every number")
    comparison = compare([PEERS[name]() for name in names], plan, say)
    print(report.table(comparison, REFERENCES))
    if arguments.save:
        written = json.dumps(report.document(comparison, REFERENCES), indent=1)
        arguments.save.write_text(f"{written}\n")


def parse() -> argparse.Namespace:
    """Return the command line's wishes."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}; default: all")
    parser.add_argument("--receivers", type=int, default=200, help="clients in the room")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of a burst")
    parser.add_argument("--quick", action="store_true", help="a few short bursts: a smoke test")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write every burst as JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    arguments.peers = arguments.peers or list(PEERS)
    return arguments


def say(sentence: str) -> None:
    """Tell what goes on, beside the result."""
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
