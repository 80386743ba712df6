"""Whether the stack works: each program, the app's readiness, the page through the edge, and a WSS round trip."""

from __future__ import annotations

import http.client
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


def unserved(place: Place) -> str | None:
    """Why the page cannot be had through the edge, its certificate verified; None when it can."""
    try:
        trust = ssl.create_default_context(cafile=str(certificate.authority(place)))
        connection = http.client.HTTPSConnection("localhost", place.https_port, timeout=5, context=trust)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f"{place.url} does not answer: {error}"
    return None if status == http.HTTPStatus.OK else f"{place.url} answers with status {status}"


def silent(place: Place, token: str) -> str | None:
    """Why a WSS round trip through the edge does not work; None when it does."""
    url = f"wss://localhost:{place.https_port}/ws/chat"
    done = subprocess.run(
        [place.python, "-I", place.code / "stack" / "probe.py", url, certificate.authority(place)],
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
