"""The tutorial's own application under plain uvicorn, as its text runs it."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

import jwt

from bench import frame
from bench.peer import USERS
from bench.server import Address, Server, free_port


class TutorialPeer:
    """The peer every other is divided by; `unix` serves it over a Unix socket, as Portcullis is served."""

    acks = False

    def __init__(self, *, unix: bool = False) -> None:
        """Choose a secret for this run."""
        self.name = "tutorial-unix" if unix else "tutorial"
        self._unix = unix
        self._secret = secrets.token_hex(32)

    def start(self, folder: Path, core: int, receivers: int) -> Server:  # noqa: ARG002  (nothing depends on it)
        """See `Peer.start`."""
        socket_path, port = folder / "tutorial.sock", free_port()
        address: Address = str(socket_path) if self._unix else ("127.0.0.1", port)
        where = ["--uds", str(socket_path)] if self._unix else ["--host", "127.0.0.1", "--port", str(port)]
        command = [sys.executable, "-m", "uvicorn", "bench.tutorial_app:app", "--loop", "uvloop", *where]
        return Server(command, address, core, {"BENCH_JWT_SECRET": self._secret}, folder / "server.log")

    def opening(self, index: int) -> bytes:
        """See `Peer.opening`."""
        name = f"user{index % USERS}"
        token = jwt.encode({"sub": name, "username": name}, self._secret, "HS256")
        return frame.opening(f"/ws/chat?token={token}", {})

    def greeting(self, index: int) -> None:
        """Need nothing: a connection is in the room at once."""

    def post(self, number: int, text: str) -> bytes:  # noqa: ARG002  (the tutorial knows no ids)
        """See `Peer.post`."""
        return json.dumps({"message": text}).encode()
