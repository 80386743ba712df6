"""Where one stack lives: its code, its state folder and its two ports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.problem import Problem

CLONE = Path(__file__).resolve().parent.parent
SHARED_STATE = Path("/var/lib/portcullis")
"""The state folder of root's stack when the clone lies where the service users cannot look."""
HTTPS_PORT = 8443
HTTP_PORT = 8080


@dataclass(frozen=True)
class Place:
    """The folders of one stack. Two stacks with different state folders and ports do not disturb each other."""

    clone: Path
    state: Path
    https_port: int = HTTPS_PORT
    http_port: int = HTTP_PORT
    copied: bool = False
    """The processes import a copy below the state folder, because they cannot reach the clone."""

    @property
    def code(self) -> Path:
        """The folder the processes import `app` and `stack` from."""
        return self.state / "code" if self.copied else self.clone

    @property
    def venv(self) -> Path:
        """The runtime environment."""
        return self.state / "venv"

    @property
    def python(self) -> Path:
        """The runtime environment's interpreter."""
        return self.venv / "bin" / "python"

    @property
    def run(self) -> Path:
        """The app's sockets."""
        return self.state / "run"

    @property
    def data(self) -> Path:
        """The store."""
        return self.state / "data"

    @property
    def secrets(self) -> Path:
        """The app's keys."""
        return self.state / "secrets"

    @property
    def tls(self) -> Path:
        """The local CA and the server's certificate."""
        return self.state / "tls"

    @property
    def acme(self) -> Path:
        """Where an ACME client puts what the edge answers at `/.well-known/acme-challenge/`, below folders so named."""
        return self.state / "acme"

    @property
    def logs(self) -> Path:
        """All logs: the edge's own, and links to what the supervisor writes."""
        return self.state / "logs"

    @property
    def program_logs(self) -> Path:
        """What the supervisor writes. Apart from `logs`, which is the edge's: root must not write where a service
        user may plant a link.
        """
        return self.supervision / "logs"

    @property
    def edge(self) -> Path:
        """What nginx and mtail are configured with."""
        return self.state / "edge"

    @property
    def prometheus(self) -> Path:
        """The configuration of a Prometheus that is supervised, and the folder with its data."""
        return self.state / "prometheus"

    @property
    def supervision(self) -> Path:
        """The supervisor's configuration, control socket and pid file; nobody else may look inside."""
        return self.state / "supervisor"

    @property
    def settings_file(self) -> Path:
        """KEY=VALUE lines written by the operator; optional."""
        return self.state / "settings.env"

    @property
    def record(self) -> Path:
        """What the running stack was started with."""
        return self.state / "started.json"

    @property
    def origin(self) -> str:
        """The address people type, without a final slash."""
        return "https://localhost" if self.https_port == 443 else f"https://localhost:{self.https_port}"

    @property
    def url(self) -> str:
        """The page's address."""
        return self.origin + "/"


def reachable(path: Path) -> bool:
    """Whether a user who owns nothing may enter every folder that leads to `path`, and the path itself."""
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    return all(folder.stat().st_mode & 0o001 for folder in (existing, *existing.parents) if folder.is_dir())


def choose(settings: Mapping[str, str], clone: Path = CLONE, root: bool | None = None) -> Place:
    """Where the stack of this clone lives.

    `settings` are PORTCULLIS_STATE (an absolute path), PORTCULLIS_HTTPS_PORT and PORTCULLIS_HTTP_PORT; raises
    Problem for a value that cannot be used.
    """
    as_root = os.geteuid() == 0 if root is None else root
    copied = as_root and not reachable(clone)
    default = SHARED_STATE if copied else clone / "var"
    state = Path(settings.get("PORTCULLIS_STATE") or default)
    if not state.is_absolute():
        raise Problem(f"PORTCULLIS_STATE must be an absolute path, and is {str(state)!r}.")
    https, http = port(settings, "PORTCULLIS_HTTPS_PORT", HTTPS_PORT), port(settings, "PORTCULLIS_HTTP_PORT", HTTP_PORT)
    if https == http:
        raise Problem(f"PORTCULLIS_HTTPS_PORT and PORTCULLIS_HTTP_PORT are both {http}: give them different ports.")
    return Place(clone, Path(os.path.normpath(state)), https, http, copied)


def port(settings: Mapping[str, str], name: str, default: int) -> int:
    """A TCP port from the settings; raises Problem unless it is a whole number from 1 to 65535."""
    text = settings.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise Problem(f"{name} must be a port from 1 to 65535, and is {text!r}.")
    return int(text)
