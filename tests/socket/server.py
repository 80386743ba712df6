"""A real gunicorn with the real worker on Unix sockets, on a state folder of its own; clients are real, too."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.auth import Auth
from app.frames import SERVER_FRAMES, Ack, Error, TutorialMessage
from app.keys import create_key, open_keys
from app.model import Credential, Identity, UserName
from app.passwords import Passwords
from app.settings import Settings
from app.store import Store
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
OPENED: list[ClientConnection | asyncio.StreamWriter] = []
"""What the running test has opened; a fixture closes it afterwards."""
ORIGIN = "https://localhost:8443"
PASSWORD = "correct horse battery"
COOKIE = "__Host-session"
_MODELS = {model.model_fields["type"].default: model for model in SERVER_FRAMES}
_ADDRESSES = (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in itertools.count(1))
_NAMES = (f"user{number}" for number in itertools.count(1))


def new_address() -> str:
    """An address that no other test comes from."""
    return next(_ADDRESSES)


def new_name() -> str:
    """A name that no other test uses."""
    return next(_NAMES)


def conforms(text: str | bytes, *, tutorial: bool) -> dict[str, Any]:
    """A server frame, once it is one of those that its model and so the AsyncAPI document describe."""
    frame: dict[str, Any] = json.loads(text)
    model = (Error if "error" in frame else Ack if "id" in frame else TutorialMessage) if tutorial else None
    (model or _MODELS[frame["type"]]).model_validate_json(text)
    return frame


@dataclass(frozen=True)
class Refused:
    """What a refused handshake got."""

    status: int
    reason: str
    body: dict[str, Any]
    retry_after: str | None


class Client:
    """A WebSocket client that reads JSON."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **fields: Any) -> None:
        await self.socket.send(json.dumps(fields))

    async def receive(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.socket.recv(), PATIENCE)
        return conforms(text, tutorial=self.socket.subprotocol is None)

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The next frame that has these fields; whatever comes before it is passed over."""
        while True:
            frame = await self.receive()
            if all(frame.get(name) == value for name, value in wanted.items()):
                return frame

    async def ask(self, **fields: Any) -> dict[str, Any]:
        """The frame that answers this one. An id that was used before would get its first answer again."""
        client_id = secrets.token_hex(4)
        await self.send(**fields, id=client_id)
        return await self.until(id=client_id)

    async def join(self, room: str = "lobby") -> dict[str, Any]:
        await self.send(type="join", room=room)
        return await self.until(type="joined")

    async def post(self, message: str, room: str = "lobby", **fields: Any) -> dict[str, Any]:
        """Post with an id of its own unless one is given; the ack or error that answers it."""
        client_id = fields.pop("id", secrets.token_hex(4))
        await self.send(type="post", room=room, message=message, id=client_id, **fields)
        while True:
            frame = await self.receive()
            if frame.get("id") == client_id:
                return frame

    async def closed(self) -> tuple[int | None, str | None]:
        """The close code and reason, once the server has closed."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self.socket.recv()
        return self.socket.close_code, self.socket.close_reason


@dataclass
class Server:
    """One gunicorn; `settings` are environment variables without their prefix."""

    state: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        ours = {f"PORTCULLIS_{name.upper()}": value for name, value in self.settings.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTCULLIS_")}
        return kept | ours | {"PORTCULLIS_STATE": str(self.state)}

    def load(self) -> Settings:
        chosen: dict[str, Any] = dict(self.settings)
        if "issuers" in chosen:
            chosen["issuers"] = json.loads(chosen["issuers"])
        return Settings(state=self.state, **chosen)

    def prepare(self) -> None:
        """Folders, keys and an empty database, as the stack makes them."""
        for name in ("run", "data", "secrets", "secrets/signing"):
            (self.state / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not list((self.state / "secrets/signing").glob("*.pem")):
            create_key(self.state / "secrets/signing")
        Store.migrate(self.load().database)

    def start(self) -> None:
        """Start, and return once it is ready."""
        with (self.state / "app.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "python:app.gunicorn_conf", "app.main:create_app()"],
                cwd=ROOT,
                env=self.environment,
                stderr=log,
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE * 3
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/ready", private=True)[0] == 200:
                    return
            assert self.process is None or self.process.poll() is None, self.log()
            time.sleep(0.02)
        raise TimeoutError(self.log())

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE * 6)

    def workers(self) -> list[int]:
        """The pids of gunicorn's workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def log(self) -> str:
        return (self.state / "app.log").read_text(errors="replace")

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """The log's records of one event."""
        records = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [record for record in records if record["event"] == event]

    def get(
        self,
        path: str,
        *,
        private: bool = False,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        address: str | None = "192.0.2.1",
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request over the Unix socket, as the edge would make it."""
        connection = _UnixHTTP(str(self.state / "run" / ("private.sock" if private else "app.sock")))
        sent = {"Host": "localhost:8443", **({"X-Real-IP": address} if address else {}), **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def metric(self, name: str, **labels: str) -> float:
        """The value of one series, 0.0 when it is not there."""
        for family in text_string_to_metric_families(self.get("/metrics", private=True)[2].decode()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    def counts(self) -> Counter[str]:
        """Every counter of the exposition that is not 0, as `name{label="value"}` without the `chat_` prefix."""
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(self.get("/metrics", private=True)[2].decode()):
            for sample in family.samples:
                if sample.name.endswith("_total") and sample.value:
                    labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
                    found[f"{sample.name.removeprefix('chat_')}{{{labels}}}"] = int(sample.value)
        return found

    async def account(self, name: str, *, admin: bool = False) -> str:
        """An account without a password; returns its name."""
        async with self.store() as store:
            await store.create_account(UserName(name), "!", admin=admin)
        return name

    async def admin(self) -> dict[str, str]:
        """The headers of an administrator's requests."""
        name = new_name()
        await self.account(name, admin=True)
        return {"Authorization": f"Bearer {await self.mint(name)}"}

    async def person(self, name: str) -> str:
        """An account with PASSWORD; returns its name."""
        passwords = Passwords(self.load())
        try:
            password_hash = await passwords.hash(PASSWORD)
        finally:
            passwords.close()
        async with self.store() as store:
            await store.create_account(UserName(name), password_hash)
        return name

    def sign_in(self, name: str, address: str) -> dict[str, str]:
        """The headers of a browser that has just signed in."""
        body = {"name": name, "password": PASSWORD}
        status, headers, answer = self.get(
            "/api/session", method="POST", body=body, headers={"Origin": ORIGIN}, address=address
        )
        assert status == 200, answer
        return {"Cookie": headers["set-cookie"].partition(";")[0], "Origin": ORIGIN}

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The same store, opened beside the server."""
        store = Store(self.load().database, 5.0)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def token(self, name: str, **changes: Any) -> str:
        """An access token; the account is made when it is missing."""
        await self.account(name)
        return await self.mint(name, **changes)

    async def mint(self, name: str, **changes: Any) -> str:
        settings = self.load()
        async with self.store() as store:
            auth = Auth(settings, store, open_keys(settings))
            identity = Identity(
                user=UserName(name),
                credential=Credential.TOKEN,
                expires_at=changes.pop("expires_at", time.time() + 3600),
                issuer=settings.issuer,
                subject=name,
                **changes,
            )
            token, _ = auth.access_token(identity)
            auth.close()
        return token

    async def open(
        self,
        token: str | None,
        *,
        path: str = "/ws/chat",
        tutorial: bool = False,
        address: str | None = "192.0.2.1",
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Client | Refused:
        """One handshake."""
        sent = {**({"X-Real-IP": address} if address else {}), **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        options.setdefault("subprotocols", None if tutorial else ["chat.v1"])
        options.setdefault("open_timeout", PATIENCE)
        try:
            opened = await unix_connect(
                str(self.state / "run/app.sock"),
                uri=f"ws://localhost{path}",
                additional_headers=sent,
                compression=None,
                ping_interval=None,
                **options,
            )
        except InvalidStatus as refused:
            body = json.loads(refused.response.body or b"{}")
            retry_after = refused.response.headers.get("Retry-After")
            return Refused(refused.response.status_code, body.get("reason", ""), body, retry_after)
        OPENED.append(opened)
        return Client(opened)

    async def connect(self, token: str | None, **options: Any) -> Client:
        """One handshake that has to succeed."""
        answer = await self.open(token, **options)
        assert isinstance(answer, Client), answer
        return answer

    async def refused(self, token: str | None, **options: Any) -> Refused:
        """One handshake that has to be refused."""
        answer = await self.open(token, **options)
        assert isinstance(answer, Refused), "the handshake was accepted"
        return answer


class _UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


@contextlib.contextmanager
def running(state: Path, **settings: str) -> Iterator[Server]:
    """A prepared and started server, stopped at the end."""
    server = Server(state, settings)
    server.prepare()
    server.start()
    try:
        yield server
    finally:
        server.stop()
