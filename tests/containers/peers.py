"""Servers of a cluster, in containers on one network: started, killed and started again as the engine would do it."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from certs.stores import ensure_stores
from stack import engine, images
from stack.place import CLONE
from tests import canary

HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--memory=512m",
    "--pids-limit=128",
)
Kind = TypeVar("Kind", bound="Peers")
SECONDS = 60.0
"""Until a server is there that has to copy another or to wait for an election."""


class Peers:
    """Made by `network`. Every container, volume and the network carry the label, by which they are removed."""

    image = ""
    uid = 0

    def __init__(self, label: str, folder: Path) -> None:
        self.label, self.folder = label, folder
        self.built = images.names(CLONE)

    def container(self, name: str) -> str:
        """What the engine calls a server."""
        return f"{self.label}-{name}"

    def words(self, name: str) -> list[str]:
        """What a server's containers are started with, and differ from others in."""
        raise NotImplementedError

    def command(self, _name: str) -> tuple[str, ...]:
        """What a server's container runs."""
        return ("sh", "/etc/portcullis/peer.sh")

    def run(self, *words: str, given: str = "") -> str:
        """A container on the network, as the servers' user. Raises Problem."""
        common = ("run", f"--label={self.label}", f"--network={self.label}", f"--user={self.uid}:{self.uid}", *HARDENED)
        return engine.run(*common, *words, given=given)

    def start(self, name: str) -> None:
        """A server's container, made anew."""
        place = ("--detach", f"--name={self.container(name)}", f"--network-alias={name}", f"--hostname={name}")
        self.run(*place, *self.words(name), self.built[self.image], *self.command(name))

    def start_again(self, name: str) -> None:
        """A container that was killed or stopped."""
        engine.run("start", self.container(name))

    def kill(self, name: str) -> None:
        """As a lost host would end it."""
        engine.run("kill", "--signal=KILL", self.container(name))

    def inside(self, name: str, *words: str) -> tuple[int, str]:
        """A command in a server's container: its status and its words."""
        done = engine.attempt("exec", self.container(name), *words)
        return done.returncode, (done.stdout + done.stderr).strip()

    def peer(self, name: str, *words: str) -> tuple[int, str]:
        """One of peer.sh's commands there."""
        return self.inside(name, "sh", "/etc/portcullis/peer.sh", *words)

    def said(self, name: str) -> str:
        """Everything that its container has printed."""
        done = engine.attempt("logs", self.container(name))
        return done.stdout + done.stderr

    def secret(self, name: str, text: str = "") -> str:
        """A file that the servers' user alone can read; what is in it."""
        if not text:
            text = secrets.token_urlsafe(32)
            canary.remember(text)
        self._own(self.folder / name, text + "\n")
        return text

    def certificates(self, folder: str, ends: Sequence[str], authority: str = "authority") -> None:
        """A folder with the stores' authority and these certificates."""
        ensure_stores(self.folder / authority)
        (self.folder / folder).mkdir(mode=0o755)
        for file in ("ca.pem", *(f"{end}.{kind}" for end in ends for kind in ("pem", "key"))):
            self._own(self.folder / folder / file, (self.folder / authority / file).read_text())

    def _own(self, path: Path, text: str) -> None:
        path.write_text(text)
        os.chown(path, self.uid, self.uid)
        path.chmod(0o400)

    def remove_all(self) -> None:
        """Everything that carries the label."""
        kinds = (("ps --all", "rm --force --volumes"), ("volume ls", "volume rm"), ("network ls", "network rm"))
        for kind, delete in kinds:
            found = engine.run(*kind.split(), "--quiet", f"--filter=label={self.label}").split()
            if found:
                engine.run(*delete.split(), *found)


@contextmanager
def network(kind: type[Kind]) -> Iterator[Kind]:
    """An internal network without anybody on it yet; gone afterwards, with whoever came."""
    assert engine.reachable(), "these tests need a container engine: make engine"
    folder = Path(tempfile.mkdtemp(prefix="portcullis-peers-"))
    folder.chmod(0o755)
    made = kind(f"portcullis-peers-{secrets.token_hex(4)}", folder)
    try:
        engine.run("network", "create", "--internal", f"--label={made.label}", made.label)
        yield made
    finally:
        made.remove_all()
        shutil.rmtree(folder)
