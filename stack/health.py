"""Whether the stack works: each program, the app's readiness, the page through the edge, and a WSS round trip."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import subprocess
from collections.abc import Iterable
from pathlib import Path

from stack import certificate, supervision, unix_http
from stack.place import Place
from stack.supervision import ProgramState

EXPECTED = ("app", "edge", "mtail", "rotation")
"""Those that are always supervised: the chat needs them."""


def ill(states: list[ProgramState]) -> list[str]:
    """What is wrong with the programs that the chat needs, in words; empty when all of them run."""
    there = {one.name for one in states}
    needed = {one.name: one for one in states if one.name in EXPECTED}
    return [*_down(needed.values()), *(f"{name} is not supervised" for name in EXPECTED if name not in there)]


def blind(states: list[ProgramState]) -> list[str]:
    """The same of those that only watch; the chat goes on without."""
    return _down(one for one in states if one.name not in EXPECTED)


def _down(states: Iterable[ProgramState]) -> list[str]:
    return [f"{one.name} is {one.state.lower()} ({one.detail})" for one in states if one.state != "RUNNING"]


def private_socket(place: Place) -> Path:
    """Where the app answers /metrics, /live and /ready."""
    return place.run / "private.sock"


def unready(place: Place) -> str | None:
    """Why the app is not ready to serve; None when it is."""
    try:
        status, body = unix_http.get(private_socket(place), "/ready")
    except (OSError, http.client.HTTPException) as error:
        return f"the app does not answer on its private socket ({error})"
    return None if status == http.HTTPStatus.OK else f"the app says it is not ready: {status} {body.strip()[:200]}"


class _Edge(http.client.HTTPSConnection):
    """Our own edge, here, whichever name its certificate is for."""

    def __init__(self, trust: certificate.Trust, port: int) -> None:
        super().__init__(trust.name, port, timeout=5)
        self._trust = trust

    def connect(self) -> None:
        plain = socket.create_connection(("localhost", self.port), self.timeout)
        self.sock = self._trust.context().wrap_socket(plain, server_hostname=self._trust.name)


def unserved(place: Place) -> str | None:
    """Why the page cannot be had through the edge, its certificate verified; None when it can."""
    try:
        trust = certificate.trust(place)
        with contextlib.closing(_Edge(trust, place.https_port)) as connection:
            connection.request("GET", "/")
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{place.url} does not answer: {error}"
    return None if status == http.HTTPStatus.OK else f"{place.url} answers with status {status}"


def shows_former(place: Place) -> bool:
    """Whether the edge answers with another certificate than the one that is there for it by now."""
    wanted = ssl.PEM_cert_to_DER_cert(_first(certificate.server(place).read_text()))
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("localhost", place.https_port), timeout=5) as plain,
            blind.wrap_socket(plain, server_hostname=certificate.trust(place).name) as stream,
        ):
            return stream.getpeercert(binary_form=True) != wanted
    except OSError:
        return False


def _first(chain: str) -> str:
    """The server's own certificate, without those that stand after it."""
    end = "-----END CERTIFICATE-----"
    return chain.partition(end)[0] + end


def silent(place: Place, token: str) -> str | None:
    """Why a WSS round trip through the edge does not work; None when it does."""
    trust = certificate.trust(place)
    url = f"wss://{trust.name}:{place.https_port}/ws/chat"
    done = subprocess.run(
        [place.python, "-I", place.code / "stack" / "probe.py", url, trust.file, "localhost"],
        input=token,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout or done.stderr).strip().splitlines()
    return None if done.returncode == 0 else f"a WSS round trip to {url} fails: {said[-1] if said else 'no words'}"


def problems(place: Place) -> list[str]:
    """Everything that is wrong with the running chat, without leaving a trace in it."""
    found = ill(supervision.states(place))
    # The page is asked for last: while the app is not ready, that would only fill the edge's log.
    wrong = unready(place) or (None if found else unserved(place))
    return [*found, wrong] if wrong else found
