"""`python3 -m stack COMMAND`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from stack import deploys, engine_install, knobs, lock, log_search, place, settings_file, shape
from stack.consent import agreed
from stack.problem import Problem
from stack.shape import Shape

if TYPE_CHECKING:
    from stack.clustered import Clustered


def here() -> place.Place:
    """Where the stack of this clone is."""
    return place.choose(os.environ)


def stack() -> Shape:
    """The stack of this clone, with the settings of its file and of the environment."""
    state = here().state
    lock.refuse_strangers(state)
    settings = settings_file.read(state / "settings.env", os.environ)
    return shape.choose(place.choose(settings | {"PORTCULLIS_STATE": str(state)}), settings)


def known() -> None:
    """Refuse settings that nobody knows: only where they would count, since what runs can always be stopped."""
    settings = settings_file.read(place.choose(os.environ).state / "settings.env", os.environ)
    wrong = knobs.unknown(settings, knobs.documented(place.CLONE / ".env.example"))
    if wrong:
        raise Problem("\n".join(wrong))


def up(_: argparse.Namespace) -> int:
    """Start the stack."""
    known()
    with deploys.noted(here(), "up"):
        stack().up()
    return 0


def rollout(_: argparse.Namespace) -> int:
    """Replace the app while clients are connected."""
    known()
    with deploys.noted(here(), "rollout"):
        stack().rollout()
    return 0


def down(_: argparse.Namespace) -> int:
    """Stop the stack."""
    print("Stopped." if stack().down() else "Nothing was running.")
    return 0


def status(_: argparse.Namespace) -> int:
    """Say how the stack is; 1 when anything is wrong."""
    return 0 if stack().status() else 1


def logs(_: argparse.Namespace) -> int:
    """Follow the logs, or print what they have about one request; 1 when that is nothing."""
    request_id = log_search.asked(os.environ)
    if request_id is None:
        stack().logs()
        return 0
    found = stack().logged(request_id)
    print("\n".join(found) if found else "No log has that request any more.", file=None if found else sys.stderr)
    return 0 if found else 1


def user(words: argparse.Namespace) -> int:
    """Create an account and print its password, alone on standard output."""
    print(stack().app("user", named(words.name)))
    print(f"This is {words.name}'s password. It is stored nowhere: note it now.", file=sys.stderr)
    return 0


def token(words: argparse.Namespace) -> int:
    """Print a short-lived access token and nothing else."""
    print(stack().app("token", named(words.name)))
    return 0


def metrics(_: argparse.Namespace) -> int:
    """Print the current exposition of app and edge."""
    sys.stdout.write(stack().metrics())
    return 0


def clean(_: argparse.Namespace) -> int:
    """Delete the stack's data after a yes: typed, or CONFIRM=yes where nobody can type."""
    chosen = stack()
    print(f"This stops the stack and deletes {chosen.holdings()}.")
    if not agreed("clean", "Nothing was deleted"):
        print("Nothing was deleted.")
        return 1
    chosen.delete()
    print("Deleted.")
    return 0


def engine(_: argparse.Namespace) -> int:
    """Give this machine a container engine."""
    return 0 if engine_install.run() else 1


def backup(_: argparse.Namespace) -> int:
    """Write a backup and print where it is."""
    print(stack().backup(asked_path("TO")))
    return 0


def drill(_: argparse.Namespace) -> int:
    """Restore a backup beside what is there, and say what was in it."""
    print(f"It can be restored: {stack().drill(asked_path('FROM'), asked_path('IDENTITY'))}")
    return 0


def restore(_: argparse.Namespace) -> int:
    """Put a backup in the place of what is there, after a yes."""
    source = asked_path("FROM")
    if source is None:
        raise Problem("From what? Add FROM=…, for example: make restore FROM=var/backups/portcullis-….dump")
    chosen = stack()
    print("This stops the chat and replaces all accounts, rooms and messages by the backup's.")
    if not agreed("restore", "Nothing was restored"):
        print("Nothing was restored.")
        return 1
    chosen.restore(source, asked_path("IDENTITY"))
    return 0


def rotate(_: argparse.Namespace) -> int:
    """Make new passwords and a new signing key."""
    stack().rotate()
    return 0


def psql(_: argparse.Namespace) -> int:
    """A prompt at the database."""
    return stack().psql()


def doctor(_: argparse.Namespace) -> int:
    """Everything an operator would look at; 1 when anything is wrong."""
    return 0 if stack().doctor() else 1


def sbom(_: argparse.Namespace) -> int:
    """Write what each image is made of, and print where."""
    for path in stack().sbom():
        print(path)
    return 0


def fixes(_: argparse.Namespace) -> int:
    """Make new images where fixes are out."""
    newer = stack().fixes()
    print("Made new images. Next: make rollout, then make up" if newer else "No fix is out: nothing was changed.")
    return 0


def promote(_: argparse.Namespace) -> int:
    """Put a standby of the database in its primary's place."""
    planned, unproven = (os.environ.get(name) == "yes" for name in ("PLANNED", "UNPROVEN"))
    cluster().promote(planned=planned, unproven=unproven)
    return 0


def rejoin(words: argparse.Namespace) -> int:
    """Make a server of the database anew, as a standby."""
    cluster().rejoin(words.name or "")
    return 0


def drain(words: argparse.Namespace) -> int:
    """Let nothing run on a host."""
    cluster().drain(words.name or "")
    return 0


def rebalance(_: argparse.Namespace) -> int:
    """Let every host take part, and spread the apps."""
    cluster().rebalance()
    return 0


def remove(words: argparse.Namespace) -> int:
    """Forget a host."""
    cluster().remove(words.name or "")
    return 0


def recover(_: argparse.Namespace) -> int:
    """Make a cluster's database of what its repository has."""
    cluster().recover(os.environ.get("MOMENT", ""), restored=os.environ.get("RESTORED") == "yes")
    return 0


def challenge(_: argparse.Namespace) -> int:
    """Have every edge answer an ACME server."""
    token, answer = (os.environ.get(name, "") for name in ("CERTBOT_TOKEN", "CERTBOT_VALIDATION"))
    cluster().challenge(token, answer)
    return 0


def cluster() -> Clustered:
    """The stack, where it is on several hosts. Raises Problem."""
    from stack.clustered import Clustered  # noqa: PLC0415 - only where it is needed

    found = stack()
    if not isinstance(found, Clustered):
        raise Problem("That is for a cluster, and this stack is on one host.")
    return found


def asked_path(variable: str) -> Path | None:
    """The path in a variable, from where the command was called."""
    given = os.environ.get(variable)
    return Path(given).absolute() if given else None


def named(name: str | None) -> str:
    """The account's name; the app checks its form."""
    if not name:
        raise Problem("Whose? Add NAME=…, for example: make user NAME=alice")
    return name


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    one.__name__: one
    for one in (
        up,
        rollout,
        down,
        status,
        logs,
        user,
        token,
        metrics,
        clean,
        engine,
        sbom,
        fixes,
        backup,
        drill,
        restore,
        rotate,
        psql,
        doctor,
        promote,
        rejoin,
        drain,
        rebalance,
        remove,
        recover,
        challenge,
    )
}


def main() -> int:
    """Run one command. A Problem is shown as its sentence, on standard error."""
    parser = argparse.ArgumentParser(prog="python3 -m stack", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("name", nargs="?", help="the account, the server or the host")
    words = parser.parse_args()
    # A terminated command unwinds like an interrupted one, so that it stops what it had started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return COMMANDS[words.command](words)
    except Problem as problem:
        print(problem, file=sys.stderr)
    except PermissionError as error:
        print(f"{error.filename} belongs to another user: run this as the one who ran make up.", file=sys.stderr)
    except BrokenPipeError:
        # Whoever read our words has enough of them, as in `make logs | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
