"""The seam between the make commands and the kind of stack that serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from stack import engine
from stack.place import Place
from stack.problem import Problem


class Shape(Protocol):
    """What every kind of stack can do for the make commands. All raise Problem with a sentence for the person."""

    def up(self) -> None:
        """Bring the stack to what the clone and the settings say; changes nothing when it is there already."""
        ...

    def rollout(self) -> None:
        """Replace the app while clients are connected."""
        ...

    def down(self) -> bool:
        """Stop everything, paced; returns whether anything ran."""
        ...

    def status(self) -> bool:
        """Print the health of each part; returns whether all of it is well."""
        ...

    def logs(self) -> None:
        """Print the newest lines of every log, then follow them until interrupted."""
        ...

    def logged(self, request_id: str) -> list[str]:
        """Every line that the logs still have of one request."""
        ...

    def app(self, *words: str) -> str:
        """Run a command of the app inside the stack and return what it printed."""
        ...

    def metrics(self) -> str:
        """The current exposition of the app and of the edge as one text."""
        ...

    def delete(self) -> None:
        """Stop everything and delete the stack's data, keys and logs."""
        ...

    def backup(self, target: Path | None) -> Path | str:
        """Write a backup, there or where this kind of stack keeps them; where it is, or what is there."""
        ...

    def drill(self, source: Path | None, identity: Path | None) -> str:
        """Restore a backup, this one or the newest, beside what is there, and drop it again; what was in it."""
        ...

    def restore(self, source: Path, identity: Path | None) -> None:
        """Put a backup in the place of what is there."""
        ...

    def rotate(self) -> None:
        """Make new passwords for the stores, where there are any, and a new signing key."""
        ...

    def psql(self) -> int:
        """A prompt at the database; its exit code."""
        ...

    def doctor(self) -> bool:
        """Print everything an operator would look at; whether nothing is wrong."""
        ...

    def sbom(self) -> list[Path]:
        """Write down what each image is made of; the files."""
        ...

    def fixes(self) -> bool:
        """Make what runs next from the newest packages; returns whether anything was newer."""
        ...

    def holdings(self) -> str:
        """What `delete` would delete, in words."""
        ...


EMBEDDED, CONTAINERS, CLUSTER = "embedded", "containers", "cluster"
KINDS = (EMBEDDED, CONTAINERS, CLUSTER)
MARK = "shape"


def held(place: Place) -> str:
    """Which kind of stack the state folder holds; empty when it holds none."""
    mark = place.state / MARK
    if mark.exists():
        return mark.read_text().strip()
    return EMBEDDED if place.data.exists() else ""


def decide(place: Place, asked: str, reachable: Callable[[], bool]) -> str:
    """What the settings ask for, else what the state folder holds, else what this machine can do.

    Raises Problem rather than leave the accounts and messages of one kind behind and begin anew with the other.
    """
    holds = held(place)
    if asked not in ("", *KINDS):
        raise Problem(f"PORTCULLIS_SHAPE must be {EMBEDDED}, {CONTAINERS} or {CLUSTER}, and is {asked!r}.")
    if asked and holds and asked != holds:
        raise Problem(
            f"PORTCULLIS_SHAPE={asked}, and {place.state} holds a stack of the kind {holds}. Its accounts and messages "
            f"do not move by themselves: choose another PORTCULLIS_STATE, or delete them (make clean "
            f"PORTCULLIS_SHAPE={holds})."
        )
    found = asked or holds or (CONTAINERS if reachable() else EMBEDDED)
    if found != EMBEDDED and not reachable():
        raise Problem("This stack runs in containers, and no container engine answers. Start it, or: make engine")
    return found


def choose(place: Place, settings: Mapping[str, str]) -> Shape:
    """The kind of stack that suits this machine. The one place that decides it."""
    kind = decide(place, settings.get("PORTCULLIS_SHAPE", ""), engine.reachable)
    # Each imports only what it needs.
    if kind == CLUSTER:
        from stack.clustered import Clustered  # noqa: PLC0415

        return Clustered(place, settings)
    if kind == CONTAINERS:
        from stack.contained import Contained  # noqa: PLC0415

        return Contained(place, settings)
    from stack.embedded import Embedded  # noqa: PLC0415

    return Embedded(place, settings)


def mark(place: Place, kind: str) -> None:
    """Note in the state folder which kind it holds, before anything else is put there."""
    (place.state / MARK).write_text(kind + "\n")
