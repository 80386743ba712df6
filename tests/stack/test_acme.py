"""A public authority's certificate by ACME: issued and renewed by a real certbot and pebble, under live sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from certs.authority import ensure
from tests import canary
from tests.patience import PATIENCE, until
from tests.socket.server import OPENED, Client
from tests.stack.conftest import NewStack
from tests.stack.running import RunningStack, free_port

NAME = "chat.acme.test"


@dataclass(frozen=True)
class Pebble:
    """An ACME server, whose own certificate `ca` signed; it takes every name for this machine's."""

    port: int
    management: int
    ca: Path

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    def answer(self, port: int, path: str) -> bytes:
        trust = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://localhost:{port}{path}", context=trust, timeout=PATIENCE) as found:
            content: bytes = found.read()
            return content

    def root(self) -> str:
        """The certificate that a browser would have to trust, made anew with each start."""
        return self.answer(self.management, "/roots/0").decode()

    def up(self) -> bool:
        try:
            return bool(self.answer(self.port, "/dir"))
        except OSError:
            return False


@contextlib.contextmanager
def pebble(folder: Path, stack: RunningStack) -> Iterator[Pebble]:
    """It checks challenges at the port where the stack redirects to HTTPS."""
    folder.mkdir()
    ensure(folder, ("localhost",))
    server = Pebble(free_port(), free_port(), folder / "ca.pem")
    names, asked = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    config = {
        "listenAddress": f"127.0.0.1:{server.port}",
        "managementListenAddress": f"127.0.0.1:{server.management}",
        "certificate": str(folder / "server.pem"),
        "privateKey": str(folder / "server.key"),
        "httpPort": stack.http_port,
        "tlsPort": stack.https_port,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    nothing = [word for kind in ("http01", "https01", "tlsalpn01") for word in (f"-{kind}", "")]
    dns = ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", names, *nothing]
    acme = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", names]
    hasty = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    with (folder / "words").open("wb") as words, contextlib.ExitStack() as ending:
        for command in ([*dns, "-management", asked], acme):
            process = subprocess.Popen(command, env=hasty, stdout=words, stderr=subprocess.STDOUT)
            ending.callback(process.wait)
            ending.callback(process.terminate)
        until(server.up, "pebble answers", PATIENCE)
        yield server


def certbot(folder: Path, server: Pebble, *words: str) -> str:
    """What it says; it keeps everything below the folder."""
    places = [word for name in ("config", "work", "logs") for word in (f"--{name}-dir", str(folder / name))]
    done = subprocess.run(
        ["certbot", *words, "--non-interactive", "--server", server.directory, *places],
        env=os.environ | {"REQUESTS_CA_BUNDLE": str(server.ca)},
        capture_output=True,
        text=True,
        timeout=120.0,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def client() -> Iterator[Path]:
    """certbot's own folder. Its log has the signed requests of ACME, which look like our tokens and are none."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


async def talking(stack: RunningStack, root: str, token: str) -> Client:
    """Somebody in the lobby who trusts that authority and no other."""
    socket = await connect(
        f"wss://{NAME}:{stack.https_port}/ws/chat",
        host="127.0.0.1",
        ssl=ssl.create_default_context(cadata=root),
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=[Subprotocol("chat.v1")],
        proxy=None,
    )
    OPENED.append(socket)
    client = Client(socket)
    await client.join()
    return client


def serial(client: Client) -> str:
    """Of the certificate that it was shown."""
    shown = client.socket.transport.get_extra_info("peercert")
    return str(shown["serialNumber"])


async def test_a_certificate_is_issued_and_renewed(another: NewStack, tmp_path: Path, client: Path) -> None:
    """From our own authority's to a public one's, and to the next, as docs/operating.md says; nobody notices."""
    with another({"PORTCULLIS_HOSTS": f"{NAME},localhost,127.0.0.1"}) as stack, contextlib.ExitStack() as open_:
        stack.up()
        server = open_.enter_context(pebble(tmp_path / "pebble", stack))
        stack.user("acme-ann")
        token = stack.token("acme-ann")
        canary.remember(token)
        app = stack.pid("app")
        ask = ["--webroot", "--webroot-path", str(stack.state / "acme"), "--domain", NAME]
        agree = ["--agree-tos", "--register-unsafely-without-email"]
        await asyncio.to_thread(certbot, client, server, "certonly", *ask, *agree)
        live = client / "config" / "live" / NAME
        stack.settings = {
            **stack.settings,
            "PORTCULLIS_CERTIFICATE": str(live / "fullchain.pem"),
            "PORTCULLIS_CERTIFICATE_KEY": str(live / "privkey.pem"),
        }
        said = await asyncio.to_thread(stack.up)
        assert "Took the given certificate" in said and "no socket was dropped" in said
        root = server.root()
        ann = await talking(stack, root, token)
        environ = {name: value for name, value in stack.environ().items() if name.startswith("PORTCULLIS_")}
        up = shlex.join(["env", *(f"{name}={value}" for name, value in environ.items()), *stack.words("up")])
        hook = ["--deploy-hook", up, "--force-renewal", "--no-random-sleep-on-renew"]
        await asyncio.to_thread(certbot, client, server, "renew", *hook)
        later = await talking(stack, root, token)
        assert serial(later) != serial(ann)
        assert (await ann.post("as ever"))["type"] == "ack"
        assert stack.pid("app") == app
        assert "healthy" in stack.make("status").stdout
