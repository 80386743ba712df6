"""A real ACME server for tests: pebble, with the name server that it asks."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from certs.authority import ensure
from tests.patience import PATIENCE, until
from tests.stack.running import free_port


@dataclass(frozen=True)
class Pebble:
    """An ACME server, whose own certificate `ca` signed; it takes every name for the same machine's."""

    host: str
    port: int
    management: int
    ca: Path

    @property
    def directory(self) -> str:
        return f"https://{self.host}:{self.port}/dir"

    def answer(self, port: int, path: str) -> bytes:
        trust = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://{self.host}:{port}{path}", context=trust, timeout=PATIENCE) as found:
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
def pebble(folder: Path, asks: tuple[str, int], host: str = "localhost", listen: str = "127.0.0.1") -> Iterator[Pebble]:
    """It listens where clients know it as `host`, and checks every challenge at the address and port `asks`."""
    folder.mkdir()
    ensure(folder, (host,))
    server = Pebble(host, free_port(), free_port(), folder / "ca.pem")
    names, management = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    config = {
        "listenAddress": f"{listen}:{server.port}",
        "managementListenAddress": f"{listen}:{server.management}",
        "certificate": str(folder / "server.pem"),
        "privateKey": str(folder / "server.key"),
        "httpPort": asks[1],
        "tlsPort": asks[1] + 1,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    nothing = [word for kind in ("http01", "https01", "tlsalpn01") for word in (f"-{kind}", "")]
    dns = ["pebble-challtestsrv", "-defaultIPv4", asks[0], "-defaultIPv6", "", "-dns01", names, *nothing]
    acme = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", names]
    hasty = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    with (folder / "words").open("wb") as words, contextlib.ExitStack() as ending:
        for command in ([*dns, "-management", management], acme):
            process = subprocess.Popen(command, env=hasty, stdout=words, stderr=subprocess.STDOUT)
            ending.callback(process.wait)
            ending.callback(process.terminate)
        until(server.up, "pebble answers", PATIENCE)
        yield server
