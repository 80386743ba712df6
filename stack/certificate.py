"""The local CA and the server's certificate, as certs/ makes them, or the certificate that the operator gives."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from stack import facts, settings_file, unix_user
from stack.place import Place
from stack.problem import Problem

GIVEN: Final = ("PORTCULLIS_CERTIFICATE", "PORTCULLIS_CERTIFICATE_KEY")


class Trust(NamedTuple):
    """What our edge is known by: a file of trusted certificates, and the name that its certificate has to be for."""

    file: Path
    name: str

    def context(self) -> ssl.SSLContext:
        """Trusts the file's certificates by themselves, whoever signed them."""
        made = ssl.create_default_context(cafile=str(self.file))
        # Not as strict as newer Pythons are by themselves: a given certificate may do for every browser without that.
        made.verify_flags = (made.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
        return made


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


def is_given(place: Place) -> bool:
    """Whether that one is the operator's, and not signed by our own authority."""
    return (place.tls / "given").exists()


def trust(place: Place) -> Trust:
    """Our own authority, or the given certificate itself: nobody but the edge has its key."""
    if is_given(place):
        return Trust(server(place), (place.tls / "given").read_text())
    return Trust(authority(place), "localhost")


def trusted_by(place: Place) -> str:
    """In words, for people."""
    return f"that of {server(place)}, which was given" if is_given(place) else str(authority(place))


def advice(place: Place) -> str:
    """What somebody who opens the page for the first time has to do; nothing where the certificate was given."""
    if is_given(place):
        return ""
    ca = authority(place)
    return f"  Trust the CA     {ca}\n                   (browser: import it under Authorities; curl: --cacert {ca})\n"


def given(settings: Mapping[str, str]) -> tuple[Path, Path] | None:
    """The operator's certificate and its key; None where there are none. Raises Problem for one without the other."""
    names = [settings.get(name, "") for name in GIVEN]
    if not any(names):
        return None
    if not all(names):
        raise Problem(f"{GIVEN[0]} and {GIVEN[1]} go together: set both, or neither.")
    certificate, key = (Path(name) for name in names)
    if not (certificate.is_absolute() and key.is_absolute()):
        raise Problem(f"{GIVEN[0]} and {GIVEN[1]} must be absolute paths.")
    return certificate.resolve(), key.resolve()


def words(settings: Mapping[str, str]) -> list[str]:
    """The hosts, as `python -m certs` wants them."""
    return [word for host in settings_file.hosts(settings) for word in ("--host", host.strip("[]"))]


def make(place: Place, settings: Mapping[str, str]) -> list[str]:
    """Make or renew what is missing, ends within 30 days, or does not fit the hosts; returns what was done."""
    owner = ["--owner", unix_user.for_edge().name] if os.geteuid() == 0 else []
    found = given(settings)
    files = ["--given", str(found[0]), "--given-key", str(found[1])] if found else []
    command: list[str | Path] = [place.python, "-m", "certs", "--folder", place.tls, *words(settings), *owner, *files]
    done = subprocess.run(command, cwd=place.clone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(done.stderr.strip())
    state_expiry(place)
    return said(done.stdout)


def said(text: str) -> list[str]:
    """What it did, without what it left as it was."""
    return [line.rstrip(".") for line in text.splitlines() if not line.startswith("Kept")]
