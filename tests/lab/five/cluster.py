"""Five hosts as an operator's: asked over SSH, spoken to from outside, and lost."""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from app.model import DEFAULT_ROOM
from client.api import Api
from client.check_crowd import Crowd
from client.check_fault import Verdict
from client.check_participant import Participant
from client.checker import report, run
from client.client import Client
from client.credentials import Proof, SignIn, Token
from client.pace import Backoff
from client.record import Delivered
from lab import outside
from lab.__main__ import EDGES, MANAGER
from lab.host import Host
from lab.lab import Lab
from tests.lab.five.ways import Ways
from tests.patience import PATIENCE, THOROUGH, until

SETTINGS = {
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_PER_MINUTE": "6000",
    "PORTCULLIS_HANDSHAKES_PER_ADDRESS_BURST": "1000",
    "PORTCULLIS_CONNECTIONS_PER_ADDRESS": "100",
    "PORTCULLIS_SIGN_INS_PER_ADDRESS_PER_MINUTE": "600",
    "PORTCULLIS_CHANGES_PER_USER_PER_SECOND": "20",
    "PORTCULLIS_READS_PER_USER_PER_SECOND": "1000",
    "PORTCULLIS_READS_PER_USER_BURST": "1000",
    "PORTCULLIS_DRAIN_SECONDS": "3",
    "WORKERS": "1",
}
"""Everybody comes from this machine's one address, and comes back more often than people do."""
URL = f"https://{outside.NAME}"
CHAT = Subprotocol("chat.v1")
CLIENTS, ROOMS = 10, 3
RATE, REMOVALS, BACKOFF = 0.5, 0.1, 3.0
TALK = 8.0
thorough = pytest.mark.skipif(not THOROUGH, reason="make test-all: make test-lab has half an hour")


@dataclass
class Cluster:
    """The hosts, and what is asked of them."""

    lab: Lab
    passwords: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Host:
        return self.lab[name]

    def portcullis(self, *words: str, host: str = MANAGER, seconds: float = 300.0) -> str:
        """One of the cluster's commands, over SSH; what it printed. Fails when it does."""
        done = self[host].ssh("sudo", "portcullis", *words, seconds=seconds)
        assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def doctor(self, host: str = MANAGER) -> str:
        """What it says, whether anything is wrong or not."""
        return self[host].ssh("sudo", "portcullis", "doctor", seconds=300.0).stdout

    def primary(self, host: str = MANAGER) -> str:
        """The database's server that leads; empty without one."""
        found = re.search(r"(postgres-\d) primary", self.doctor(host))
        return found[1] if found else ""

    def valkey_primary(self, host: str = MANAGER) -> str:
        """The server that the Sentinels call so; empty without one."""
        found = re.search(r"(valkey-\d) is the primary", self.doctor(host))
        return found[1] if found else ""

    def apps(self, but: str = "", host: str = MANAGER) -> int:
        """How many run, those of one host left out."""
        words = ("docker", "service", "ps", "--filter=desired-state=running", "portcullis_app")
        shown = self[host].ssh("sudo", *words, "--format='{{.Node}} {{.CurrentState}}'").stdout
        lines = [line.split() for line in shown.splitlines()]
        return sum(node != but and state == "Running" for node, state, *_ in lines)

    def certificate(self, edge: str) -> str:
        """The one that an edge shows, whether it is to be trusted or not."""
        return ssl.get_server_certificate((self[edge].address, 443), timeout=PATIENCE)

    def well(self, host: str = MANAGER) -> bool:
        """Whether the cluster says so of itself."""
        return self[host].ssh("sudo", "portcullis", "status", seconds=300.0).returncode == 0

    def account(self, name: str) -> str:
        """Its password; the account is made the first time."""
        if name not in self.passwords:
            self.passwords[name] = self.portcullis("user", f"NAME={name}").splitlines()[-1]
        return self.passwords[name]

    def token(self, name: str) -> str:
        """A fresh access token."""
        self.account(name)
        return self.portcullis("token", f"NAME={name}")

    @cached_property
    def authority(self) -> str:
        """What the edges' certificate is signed by."""
        return outside.authority(self[MANAGER])

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Trusts that and nothing else."""
        return ssl.create_default_context(cadata=self.authority)

    @contextmanager
    def trusting(self, authority: str) -> Iterator[None]:
        """Another one, for a while."""
        own, self.tls = self.tls, ssl.create_default_context(cadata=authority)
        try:
            yield
        finally:
            self.tls = own

    def client(self, edge: str, name: str, token: str, **options: Any) -> Client:
        """By one of the edges, under the name that its certificate is for."""
        place: dict[str, Any] = {"host": self[edge].address, "port": 443}
        return Client(URL, Token(token), name=name, tls=self.tls, **place, **options)

    def connect(self, edge: str, **headers: str) -> connect:
        """A bare connection by one of the edges, with these headers."""
        place: dict[str, Any] = {"host": self[edge].address, "port": 443, "ssl": self.tls, "proxy": None}
        return connect(f"wss://{outside.NAME}/ws/chat", additional_headers=headers, subprotocols=[CHAT], **place)

    async def stored(self, edge: str, name: str) -> set[int]:
        """The offsets of the default room's newest events, as somebody sees them by an edge."""
        async with self.client(edge, name, await asyncio.to_thread(self.token, name)) as client:
            await client.join(DEFAULT_ROOM)
            page = await client.room(DEFAULT_ROOM).history(limit=50)
            return {event.offset for event in page.events}

    async def refusal(self, edge: str, token: str) -> str:
        """Why a handshake is refused; empty when it is not."""
        try:
            async with self.connect(edge, Authorization=f"Bearer {token}"):
                return ""
        except InvalidStatus as refused:
            return str(json.loads(refused.response.body or b"{}").get("reason", ""))

    async def refusal_logged(self, edge: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the edge, then an app on whichever host logged of a handshake without a credential, found by its id."""
        with pytest.raises(InvalidStatus) as refused:
            await self.connect(edge)
        request_id = refused.value.response.headers["X-Request-Id"]
        words = ("sudo", "portcullis", "logs", f"REQUEST={request_id}")

        def lines() -> list[dict[str, Any]]:
            found = self[MANAGER].ssh(*words, seconds=300.0).stdout.splitlines()
            return [json.loads(line) for line in found] if len(found) == 2 else []

        by_edge, by_app = await asyncio.to_thread(until, lines, "both have logged it")
        assert by_edge["request_id"] == by_app["request_id"] == request_id
        return by_edge, by_app

    @asynccontextmanager
    async def crowd(self, seed: int, clients: int = CLIENTS, rooms: int = ROOMS) -> AsyncIterator[Crowd]:
        """Clients that come by whichever edge answers."""
        names = [f"talker{number}" for number in range(clients)]
        for name in names:
            await asyncio.to_thread(self.account, name)
        rng = random.Random(seed)  # noqa: S311
        async with Ways([self[edge].address for edge in EDGES], rng) as ways:
            participants = [
                Participant(
                    name,
                    f"https://localhost:{ways.port}",
                    Session(name, self.account(name), ways.port, self.tls),
                    RATE,
                    random.Random(rng.random()),  # noqa: S311
                    tls=self.tls,
                    host="127.0.0.1",
                    backoff=Backoff(longest=BACKOFF),
                )
                for name in names
            ]
            yield Crowd(participants, rooms, rng, REMOVALS)

    async def judged(self, fault: Callable[[], Awaitable[object]], seed: int = 1) -> Mapping[str, Any]:
        """The report on clients who talk before, during and after a fault. Fails where the promise was not kept."""

        async def meanwhile() -> None:
            await asyncio.sleep(TALK)
            await fault()
            await asyncio.sleep(TALK)

        async with self.crowd(seed) as crowd:
            verdict: Verdict = await run(crowd, 1.0, meanwhile())
            found = report(crowd, verdict, {"seed": seed})
            print(json.dumps(found, indent=2))
            print(f"longest silence {silence(crowd):.1f} s")
            assert verdict.kept, str(verdict)
        return found | {"silence": silence(crowd)}


def silence(crowd: Crowd) -> float:
    """Seconds between two deliveries, to whomever, at most: for how long nobody could post."""
    came = sorted(saw.at for one in crowd.participants for saw in one.record.saw if isinstance(saw, Delivered))
    return max((later - sooner for sooner, later in pairwise(came)), default=0.0)


class Session(SignIn):
    """One at a stack whose own port is another than the one that is connected to."""

    def __init__(self, name: str, password: str, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(name, password)
        self._there = Api(f"https://localhost:{port}", tls=tls, origin="https://localhost")

    async def proof(self, api: Api) -> Proof:  # noqa: ARG002 - its own instead
        return await super().proof(self._there)

    async def fresh(self, api: Api) -> str:  # noqa: ARG002
        return await super().fresh(self._there)

    async def close(self, api: Api) -> None:  # noqa: ARG002
        await super().close(self._there)


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Until now."""
        return time.monotonic() - self._began
