"""The local CA and the server's certificate, as certs/ makes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stack import facts, unix_user
from stack.place import Place
from stack.problem import Problem


def expiry(certificate: Path) -> str:
    """The day the certificate ends, in openssl's words; raises Problem when it cannot be read."""
    words: list[str | Path] = ["openssl", "x509", "-in", certificate, "-noout", "-enddate"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"The certificate {certificate} cannot be read: {done.stderr.strip()}")
    return done.stdout.strip().removeprefix("notAfter=")


def lasts(certificate: Path, seconds: int) -> bool:
    """Whether the certificate is still valid after `seconds`."""
    words: list[str | Path] = ["openssl", "x509", "-in", certificate, "-noout", "-checkend", str(seconds)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def state_expiry(place: Place) -> None:
    """Let Prometheus know when the server's certificate ends."""
    facts.state(place, "portcullis_certificate_expiry_timestamp_seconds", facts.seconds(expiry(server(place))))


def authority(place: Place) -> Path:
    """The CA's certificate, which people may trust."""
    return place.tls / "ca.pem"


def server(place: Place) -> Path:
    """The certificate the edge shows."""
    return place.tls / "server.pem"


def make(place: Place, hosts: list[str]) -> list[str]:
    """Make or renew what is missing, ends within 30 days, or does not fit `hosts`; returns what was done."""
    names = [word for host in hosts for word in ("--host", host.strip("[]"))]
    owner = ["--owner", unix_user.for_edge().name] if os.geteuid() == 0 else []
    words: list[str | Path] = [place.python, "-m", "certs", "--folder", place.tls, *names, *owner]
    done = subprocess.run(words, cwd=place.clone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(done.stderr.strip())
    state_expiry(place)
    return [line.rstrip(".") for line in done.stdout.splitlines() if not line.startswith("Kept")]
