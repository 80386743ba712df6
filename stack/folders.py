"""The state folder's parts, each with one owner, and the copy of the code where the clone is out of reach."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from stack import unix_user
from stack.place import Place

COPIED = ("app", "monitoring", "stack", "nginx")
"""What the supervised processes import or read."""
PROGRAM_LOGS = ("app.log", "carrier.log", "edge.log", "mtail.log", "prometheus.log", "rotation.log", "supervisor.log")


def make(place: Place) -> None:
    """Make every folder of the state with its owner and mode.

    What root writes and what a service user writes never share a folder: a planted link would lead root astray.
    """
    me, app, edge = unix_user.myself(), unix_user.for_app(), unix_user.for_edge()
    for path, owner, mode in (
        (place.state, me, 0o755),
        (place.supervision, me, 0o700),
        (place.tls, me, 0o755),
        (place.acme, me, 0o755),
        (place.program_logs, me, 0o700),
        (place.logs, edge, 0o750),
        (place.edge, edge, 0o750),
        (place.edge / "run", edge, 0o750),
        (place.run, app, 0o750),
        (place.data, app, 0o700),
        (place.secrets, app, 0o700),
    ):
        unix_user.folder(path, owner, mode)
    for name in PROGRAM_LOGS:
        link(place.logs / name, place.program_logs / name)


def link(path: Path, target: Path) -> None:
    """Make `path` lead to `target`, which need not be there yet."""
    if not path.is_symlink():
        path.symlink_to(target)


def sources(folder: Path) -> Iterator[Path]:
    """The files below `folder` that matter to a running process."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def digest(root: Path, names: tuple[str, ...] = COPIED) -> str:
    """One hash over the code in `root`: names and contents."""
    found = hashlib.sha256()
    for path in (path for name in names for path in sources(root / name)):
        found.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def copy_code(place: Place) -> bool:
    """Bring the copy of the code up to date, readable by everyone; returns whether anything was copied."""
    if not place.copied or digest(place.code) == digest(place.clone):
        return False
    draft = place.state / "code.draft"
    shutil.rmtree(draft, ignore_errors=True)
    for name in COPIED:
        shutil.copytree(place.clone / name, draft / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(place.code, ignore_errors=True)
    draft.rename(place.code)
    return True
