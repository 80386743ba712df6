"""No token, cookie, password or message of the whole run stands in a log, a metric or an error body.

What the test clients send and are told is heard where their libraries do it, so that no test has to think of it. A
folder is searched before it goes, and what is left at the end of the run; each test process does that for its own.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from app.logs import JsonFormatter
from tests.socket.server import PASSWORD

ASCII = "[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9_-]"
"""Three characters of a JSON text in Base64. One group in eight of any other bytes looks like that."""
SHAPES = f"canary[a-z]+[0-9a-f]{{16}}|eyJ[h-z0-6]({ASCII}){{3}}[A-Za-z0-9_-]{{3,}}"
"""A canary, and how every token begins, with a JSON object's first name: whoever made it, and however much of it was
left out. Without the last part a certificate's own bytes look like one, now and then."""
EXEMPT = ("--exclude=*.db*", *(f"--exclude-dir={name}" for name in ("venv", "uv", "code", "secrets")))
"""Databases hold messages and `secrets` holds keys: that is what they are for. The others hold what was installed."""
SHORTEST, LONGEST = 10, 40
"""Characters of a word that says where it comes from, a shorter one being looked for as a whole value only; and how
many characters of a longer one are looked for.
"""
_COOKIE = re.compile(r"set-cookie: *[^=]+=([^;\s]+)", re.IGNORECASE)
_REGULAR = re.compile(r"[][.{}()\\*+?^$|]")
_words = {PASSWORD}
_values: set[str] = set()
_shown: list[Path] = []


def word(kind: str) -> str:
    """A canary: a word that can be looked for."""
    return f"canary{kind}{secrets.token_hex(8)}"


def remember(secret: str) -> None:
    """Look for it from now on, in each of the ways in which it could be written."""
    start = secret[:LONGEST]
    if len(start) >= SHORTEST:
        _words.update(form for form in (start, json.dumps(start)[1:-1], quote(start)) if form.isprintable())
    elif len(start) > 2 and (value := json.dumps(start)).isprintable():
        _values.add(_REGULAR.sub(r"\\\g<0>", value) + "([^:]|$)")  # with a colon behind it, it is a field's name


def show(text: str | bytes) -> None:
    """Keep what an outsider was shown: a metric, or an error."""
    with _shown[-1].open("ab") as file:
        file.write((text.encode() if isinstance(text, str) else text) + b"\n")


def answered(status: int, headers: str, body: bytes) -> None:
    """An answer over HTTP: its cookies are secrets, and no error or metric may tell one."""
    for value in _COOKIE.findall(headers):
        remember(value)
    if status >= 400 or "content-type: text/plain" in headers.lower():
        show(body)


def search(folder: Path) -> None:
    """Fail with the file and the line of every secret that was written below the folder."""
    found = _grep(folder, "-E", "\n".join([SHAPES, *sorted(_values)])) + _grep(folder, "-F", "\n".join(sorted(_words)))
    hint = "secrets were written down (a test's text that is a word of the server's own needs other words):"
    assert not found, "\n".join([hint, *found[:20]])


def _grep(folder: Path, how: str, patterns: str) -> list[str]:
    if not folder.exists():
        return []
    command = ["grep", "-rnaoH", "--max-count=5", *EXEMPT, how, "-f", "-", str(folder)]
    done = subprocess.run(command, input=patterns.encode(), capture_output=True, env={"LC_ALL": "C"}, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.decode(errors="replace").splitlines()


def _sent(message: Any) -> None:
    frame = _frame(message)
    if isinstance(text := frame.get("message"), str):
        remember(text)


def _received(message: Any) -> None:
    frame = _frame(message)
    if frame.get("type") == "error" or "error" in frame:
        show(json.dumps({name: value for name, value in frame.items() if name != "id"}))  # the client's own word


def _frame(message: Any) -> dict[str, Any]:
    try:
        frame = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}


def _listen(patch: pytest.MonkeyPatch) -> None:
    """Hear what goes through the libraries that the test clients use; nothing of it is changed."""
    send, recv = ClientConnection.send, ClientConnection.recv
    read, refused = http.client.HTTPResponse.read, InvalidStatus.__init__

    async def heard_send(self: ClientConnection, message: Any, *more: Any, **options: Any) -> None:
        _sent(message)
        await send(self, message, *more, **options)

    async def heard_recv(self: ClientConnection, *more: Any, **options: Any) -> Any:
        message = await recv(self, *more, **options)
        _received(message)
        return message

    def heard_read(self: http.client.HTTPResponse, amt: int | None = None) -> bytes:
        body = read(self, amt)
        answered(self.status, str(self.headers), body)
        return body

    def heard_refused(self: InvalidStatus, response: Any) -> None:
        refused(self, response)
        answered(response.status_code, str(response.headers), bytes(response.body or b""))

    patch.setattr(ClientConnection, "send", heard_send)
    patch.setattr(ClientConnection, "recv", heard_recv)
    patch.setattr(http.client.HTTPResponse, "read", heard_read)
    patch.setattr(InvalidStatus, "__init__", heard_refused)


@contextmanager
def searched(folder: Path) -> Iterator[None]:
    """Listen to everything that happens inside, and search the folder at the end."""
    _shown.append(folder / "shown")
    records = logging.FileHandler(folder / "records.log")
    records.setFormatter(JsonFormatter())
    logging.getLogger().addHandler(records)
    with pytest.MonkeyPatch.context() as patch:
        _listen(patch)
        yield
    logging.getLogger().removeHandler(records)
    records.close()
    search(folder)
