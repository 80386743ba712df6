"""What an operator would ask of a stack in containers, a line each: `ok`, `warn` or `wrong`, and what to do."""

from __future__ import annotations

import shutil
import time
from calendar import timegm
from collections.abc import Iterator

from stack import base_image, certificate, compose, contained_machine, engine, health, machine, snapshot
from stack.place import Place

DAY = 86_400.0
OLD_BACKUP, OLD_IMAGE = 7 * DAY, 30 * DAY
RENEWED = 30 * DAY
READY = ("exec", "--no-TTY", "app", "python", "-m", "stack.ready")

Finding = tuple[str, str, str]
"""How it is, what was looked at, and what was found."""


def findings(place: Place) -> Iterator[Finding]:
    """Look at everything; changes nothing."""
    yield _said("engine", engine.wanting())
    free = shutil.disk_usage(machine.existing(place.state)).free
    yield _said("disk", [contained_machine.disk(free)], f"{free >> 30} GiB free")
    yield _said("clock", [machine.clock(time.time(), machine.newest(place.clone))])
    found = compose.states(place)
    yield _said("containers", compose.ill(found), f"{len(found)} are healthy")
    yield _ready(place)
    yield _said("page", [health.unserved(place)], place.url)
    yield _certificate(place)
    yield _backup(place)
    yield _images()


def _said(what: str, wrong: list[str | None] | list[str], right: str = "") -> Finding:
    sentences = [one for one in wrong if one]
    return ("wrong" if sentences else "ok", what, "; ".join(sentences) or right)


def _ready(place: Place) -> Finding:
    done = compose.attempt(place, *READY)
    said = (done.stdout or done.stderr).strip().splitlines()
    return ("ok" if done.returncode == 0 else "wrong", "database and Valkey", said[-1] if said else "no answer")


def _certificate(place: Place) -> Finding:
    pem = certificate.server(place)
    if certificate.lasts(pem, round(RENEWED)):
        return ("ok", "certificate", f"valid until {certificate.expiry(pem)}")
    wrong = "wrong" if not certificate.lasts(pem, 0) else "warn"
    renew = "renew it, then make up" if certificate.is_given(place) else "make up"
    return (wrong, "certificate", f"valid until {certificate.expiry(pem)}: {renew}")


def _backup(place: Place) -> Finding:
    newest = snapshot.newest(place)
    if newest is None:
        return ("warn", "backup", "there is none: make backup")
    age = time.time() - newest.stat().st_mtime
    return ("ok" if age < OLD_BACKUP else "warn", "backup", f"{newest.name}, {age / DAY:.1f} days old")


def _images() -> Finding:
    """Fixes come with a new base image, which makes all others new."""
    (one,) = engine.inspect(base_image.NAME) or [{}]
    made = timegm(time.strptime(str(one.get("Created", ""))[:19], "%Y-%m-%dT%H:%M:%S")) if one else 0.0
    age = time.time() - made
    old = f"the base image is {age / DAY:.0f} days old, and fixes may be out: make fixes"
    return ("ok", "images", f"made {age / DAY:.0f} days ago") if age < OLD_IMAGE else ("warn", "images", old)
