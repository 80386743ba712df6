"""A public authority's certificate by ACME: issued and renewed by a real certbot and pebble, under live sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import canary
from tests.socket.server import Client
from tests.stack.acme import Pebble, pebble
from tests.stack.conftest import NewStack
from tests.stack.elsewhere import talking

NAME = "chat.acme.test"


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


def serial(client: Client) -> str:
    """Of the certificate that it was shown."""
    shown = client.socket.transport.get_extra_info("peercert")
    return str(shown["serialNumber"])


async def test_a_certificate_is_issued_and_renewed(another: NewStack, tmp_path: Path, client: Path) -> None:
    """From our own authority's to a public one's, and to the next, as docs/operating.md says; nobody notices."""
    with another({"PORTCULLIS_HOSTS": f"{NAME},localhost,127.0.0.1"}) as stack, contextlib.ExitStack() as open_:
        stack.up()
        server = open_.enter_context(pebble(tmp_path / "pebble", ("127.0.0.1", stack.http_port)))
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
        ann = await talking(stack, token, NAME, root)
        environ = {name: value for name, value in stack.environ().items() if name.startswith("PORTCULLIS_")}
        up = shlex.join(["env", *(f"{name}={value}" for name, value in environ.items()), *stack.words("up")])
        hook = ["--deploy-hook", up, "--force-renewal", "--no-random-sleep-on-renew"]
        await asyncio.to_thread(certbot, client, server, "renew", *hook)
        later = await talking(stack, token, NAME, root)
        assert serial(later) != serial(ann)
        assert (await ann.post("as ever"))["type"] == "ack"
        assert stack.pid("app") == app
        assert "healthy" in stack.make("status").stdout
