"""The seam between the make commands and the kind of stack that serves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from stack.place import Place


class Shape(Protocol):
    """What every kind of stack can do for the make commands. All raise Problem with a sentence for the person."""

    def up(self) -> None:
        """Bring the stack to what the clone and the settings say; changes nothing when it is there already."""
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

    def app(self, *words: str) -> str:
        """Run a command of the app inside the stack and return what it printed."""
        ...

    def metrics(self) -> str:
        """The current exposition of the app and of the edge as one text."""
        ...

    def delete(self) -> None:
        """Stop everything and delete the stack's data, keys and logs."""
        ...

    def holdings(self) -> str:
        """What `delete` would delete, in words."""
        ...


def choose(place: Place, settings: Mapping[str, str]) -> Shape:
    """The kind of stack that suits this machine. The one place that decides it."""
    from stack.embedded import Embedded  # noqa: PLC0415 - each shape imports only what it needs

    return Embedded(place, settings)
