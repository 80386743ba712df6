"""What only commands of the host know, for Prometheus: one text file each, in the format that scrapers read.

`make up` writes when the certificate ends, `make backup` and `make drill` when they were done. A file stays when its
writer is gone, so a fact is a point in time, never an age: the alert counts from it.
"""

from __future__ import annotations

import time
from calendar import timegm
from pathlib import Path

from stack import exposition
from stack.place import Place

FACTS = {
    "portcullis_backup_failed": "In a cluster: 1 when the last backup failed.",
    "portcullis_backup_timestamp_seconds": "When the newest backup was done that was restored for a try.",
    "portcullis_certificate_expiry_timestamp_seconds": "When the server's certificate ends.",
    "portcullis_inner_certificate_expiry_timestamp_seconds": "When the first certificate between hosts ends.",
    "portcullis_restore_drill_failed": "In a cluster: 1 when the last drill failed.",
    "portcullis_restore_drill_timestamp_seconds": "When a backup that was kept was last restored for a try.",
}
"""Each gauge and what it means."""
OPENSSL = "%b %d %H:%M:%S %Y GMT"


def folder(place: Place) -> Path:
    """Where they are: nothing in it is secret, and only the stack's owner writes there."""
    return place.state / "facts"


def state(place: Place, name: str, value: float) -> None:
    """Replace one fact, in one step. Raises KeyError for one that FACTS does not know."""
    text = f"# HELP {name} {FACTS[name]}\n# TYPE {name} gauge\n{name} {value:.0f}\n"
    folder(place).mkdir(exist_ok=True)
    folder(place).chmod(0o755)  # whatever the umask is
    draft = folder(place) / f"{name}.draft"
    draft.write_text(text)
    draft.chmod(0o644)
    draft.replace(draft.with_suffix(".prom"))


def backed_up(place: Place) -> None:
    """State that a backup is done, and was tried out, now."""
    state(place, "portcullis_backup_timestamp_seconds", time.time())


def drilled(place: Place) -> None:
    """State that a backup that was kept could be restored, now."""
    state(place, "portcullis_restore_drill_timestamp_seconds", time.time())


def exposed(place: Place) -> str:
    """All of them as one exposition; empty where none was ever stated."""
    return exposition.merge(path.read_text() for path in sorted(folder(place).glob("*.prom")))


def seconds(date: str) -> float:
    """Unix time of a date in openssl's words, such as `Nov 28 17:40:00 2027 GMT`."""
    return float(timegm(time.strptime(date, OPENSSL)))
