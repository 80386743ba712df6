"""Who runs what: the unprivileged users of root's stack, or just the person who started it."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

APP = "portcullis"
EDGE = "portcullis-edge"
WATCH = "portcullis-prometheus"


@dataclass(frozen=True)
class UnixUser:
    """A user of the system, with every group it is a member of."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def named(name: str) -> UnixUser:
    """The user called `name`; raises KeyError when there is none."""
    entry = pwd.getpwnam(name)
    return UnixUser(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))


def myself() -> UnixUser:
    """The person who runs this command."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return UnixUser(name, uid, gid, tuple(os.getgroups()))


def for_app() -> UnixUser:
    """Who runs the app; root's stack never runs it as root. Raises KeyError before `create` was called by root."""
    return named(APP) if os.geteuid() == 0 else myself()


def for_edge() -> UnixUser:
    """Who runs nginx and mtail."""
    return named(EDGE) if os.geteuid() == 0 else myself()


def for_watch() -> UnixUser:
    """Who runs Prometheus."""
    return named(WATCH) if os.geteuid() == 0 else myself()


def create(*, watched: bool = False) -> list[str]:
    """Make root's service users where they are missing, and return what was made.

    The edge joins the app's group, so that it may enter the folder of the app's socket. The app does not join
    the edge's, and whoever watches joins nobody's.
    """
    if os.geteuid() != 0:
        return []
    made = []
    for name, groups in ((APP, []), (EDGE, ["--groups", APP]), *([(WATCH, [])] if watched else [])):
        try:
            named(name)
        except KeyError:
            add = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
            subprocess.run([*add, "--shell", "/usr/sbin/nologin", *groups, name], check=True)
            made.append(name)
    if EDGE not in grp.getgrnam(APP).gr_mem:
        subprocess.run(["usermod", "--append", "--groups", APP, EDGE], check=True)
    return made


def folder(path: Path, owner: UnixUser, mode: int) -> None:
    """Make `path` a folder of `owner` with `mode`. Only a folder whose parent is root's or ours may be given here."""
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    own(path, owner, mode)


def own(path: Path, owner: UnixUser, mode: int) -> None:
    """Give `path` to `owner` with `mode`; unchanged when it already is so."""
    found = path.stat()
    if (found.st_uid, found.st_gid) != (owner.uid, owner.gid) and os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
    if found.st_mode & 0o7777 != mode:
        path.chmod(mode)
