"""Portcullis itself under gunicorn, behind its Unix socket, with every check on and its limits raised."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path

from bench import frame
from bench.peer import USERS
from bench.server import Server

ROOM = "lobby"
ORIGIN = "https://localhost:8443"
PLENTY = "1000000"

# Raised so that they never refuse; each still counts every frame, post, byte and connection.
LIMITS = (
    "HANDSHAKES_PER_ADDRESS_PER_MINUTE",
    "HANDSHAKES_PER_ADDRESS_BURST",
    "CONNECTIONS_PER_ADDRESS",
    "CONNECTIONS_PER_USER",
    "POSTS_PER_USER_PER_SECOND",
    "POSTS_PER_USER_BURST",
    "FRAMES_PER_CONNECTION_PER_SECOND",
    "FRAMES_PER_CONNECTION_BURST",
    "POSTS_PER_ROOM_PER_SECOND",
    "POSTS_PER_ROOM_BURST",
)
BYTE_LIMITS = ("BYTES_PER_USER_PER_SECOND", "BYTES_PER_USER_BURST")


class PortcullisPeer:
    """The real application: sessions, gates, limits, validation, durable acks, SQLite with synchronous=FULL."""

    name = "portcullis"
    acks = True

    def __init__(self) -> None:
        """Know nobody yet: accounts are made at the start, sessions when the first connection needs them."""
        self._server: Server | None = None
        self._passwords: list[str] = []
        self._cookies: dict[int, str] = {}

    def start(self, folder: Path, core: int, receivers: int) -> Server:  # noqa: ARG002  (limits are plenty)
        """See `Peer.start`."""
        env = _settings(folder)
        for command in (["keys", "init"], ["migrate"]):
            _app(env, *command)
        self._passwords = [_app(env, "user", _name(user)) for user in range(USERS)]
        command = [sys.executable, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "app.main:create_app()"]
        self._server = Server(command, str(folder / "run" / "app.sock"), core, env, folder / "server.log")
        return self._server

    def opening(self, index: int) -> bytes:
        """See `Peer.opening`."""
        user = index % USERS
        if user not in self._cookies:
            self._cookies[user] = self._sign_in(user)
        headers = {"Cookie": self._cookies[user], "Sec-WebSocket-Protocol": "chat.v1"}
        return frame.opening("/ws/chat", headers | _edge_headers(user))

    def greeting(self, index: int) -> tuple[bytes, bytes]:  # noqa: ARG002  (everybody joins the same room)
        """See `Peer.greeting`."""
        return json.dumps({"type": "join", "room": ROOM}).encode(), b'"type":"joined"'

    def post(self, number: int, text: str) -> bytes:
        """See `Peer.post`."""
        return json.dumps({"type": "post", "room": ROOM, "message": text, "id": str(number)}).encode()

    def _sign_in(self, user: int) -> str:
        assert self._server is not None
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self._server.connect()
        body = json.dumps({"name": _name(user), "password": self._passwords[user]})
        headers = {"Content-Type": "application/json"} | _edge_headers(user)
        connection.request("POST", "/api/session", body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        assert response.status == http.HTTPStatus.OK, answer
        return str(response.headers["Set-Cookie"]).partition(";")[0]


def _settings(folder: Path) -> dict[str, str]:
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "data").mkdir(mode=0o700)
    (folder / "run").mkdir(mode=0o750)
    (folder / "logs").mkdir()
    raised = dict.fromkeys(LIMITS, PLENTY) | dict.fromkeys(BYTE_LIMITS, PLENTY + "000")
    return {"PORTCULLIS_STATE": str(folder)} | {f"PORTCULLIS_{name}": value for name, value in raised.items()}


def _app(env: dict[str, str], *arguments: str) -> str:
    """Run one of the application's commands and return what it prints."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(command, cwd=root, env=os.environ | env, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def _name(user: int) -> str:
    return f"bench-{user}"


def _edge_headers(user: int) -> dict[str, str]:
    """Return what the edge would add: an address per user (of RFC 5737's), and the page's origin."""
    return {"X-Real-IP": f"192.0.2.{user + 1}", "Origin": ORIGIN}
