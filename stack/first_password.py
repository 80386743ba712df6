"""Keeping the first administrator's one-time password where nobody watches `make up`."""

from __future__ import annotations

import os
from pathlib import Path


def keep(path: Path, password: str) -> None:
    """Write it into a file that only we can read. One that is there is replaced, never followed."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(password + "\n")
    draft.replace(path)
