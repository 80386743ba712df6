"""`python -m client`: a chat for a terminal, over SSH too, and for pipes in scripts."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from client.client import Client
from client.console import Console
from client.credentials import Credential, SignIn, Token
from client.errors import ChatError, Ended
from client.terminal import Terminal


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for; ends with a usage when that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m client", description=__doc__)
    parser.add_argument("--url", default="https://localhost:8443", help="the server's address (%(default)s)")
    parser.add_argument("--name", help="sign in with this name; the password is asked for")
    parser.add_argument("--password-file", type=Path, help="read the password from here instead")
    parser.add_argument(
        "--token-file", type=Path, help="use the access token in this file, read anew for each connection"
    )
    parser.add_argument("--ca", type=Path, help="trust this certificate authority, such as var/tls/ca.pem")
    parser.add_argument("--room", default="lobby", help="the room to enter (%(default)s)")
    chosen = parser.parse_args(given)
    if (chosen.name is None) == (chosen.token_file is None):
        parser.error("name either --name or --token-file")
    return chosen


def credential(chosen: argparse.Namespace) -> Credential:
    """From a file or a prompt: never from the arguments, which others can see."""
    if chosen.token_file is not None:
        return Token(lambda: _first_line(chosen.token_file))
    if chosen.password_file is not None:
        return SignIn(chosen.name, _first_line(chosen.password_file))
    return SignIn(chosen.name, getpass.getpass(f"Password of {chosen.name}: "))


async def chat(chosen: argparse.Namespace, console: Console, proof: Credential) -> int:
    """Run the chat; the exit code."""
    terminal = Terminal(console)
    tls = ssl.create_default_context(cafile=chosen.ca) if chosen.ca else None
    try:
        await terminal.run(Client(chosen.url, proof, tls=tls, notify=terminal.notify), chosen.room)
    except Ended as ended:
        console.show(f"! The chat has ended: {ended.detail or ended.reason} ({ended.reason})")
        return 1
    except ChatError as error:
        console.show(f"! {error}")
        return 1
    return 0


def main(given: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    chosen = arguments(given)
    try:
        proof = credential(chosen)
        console = Console()
        try:
            return asyncio.run(chat(chosen, console, proof))
        except KeyboardInterrupt:
            return 0
        finally:
            console.restore()
    except (OSError, ValueError, EOFError) as error:
        print(f"! {error}", file=sys.stderr)
        return 1


def _first_line(path: Path) -> str:
    return path.read_text("utf-8").split("\n", 1)[0].strip()


if __name__ == "__main__":
    sys.exit(main())
