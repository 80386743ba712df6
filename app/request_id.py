"""The id of the request being served: the edge made it, and log lines, answers and audit entries carry it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from contextvars import Context, ContextVar
from typing import Final

HEADER: Final = b"x-request-id"
_EDGES_OWN: Final = re.compile(rb"[0-9a-f]{32}")
_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def begin(headers: Iterable[tuple[bytes, bytes]], *, believed: bool) -> str:
    """The id of what this task serves from now on.

    It is the edge's where the headers are `believed` to be the edge's own and hold exactly one; a new one of the same
    form, 32 hexadecimal digits, anywhere else. What a client calls its request never counts.
    """
    found = [value for name, value in headers if name == HEADER] if believed else []
    edges = len(found) == 1 and _EDGES_OWN.fullmatch(found[0])
    chosen = found[0].decode("ascii") if edges else secrets.token_hex(16)
    _current.set(chosen)
    return chosen


def current() -> str | None:
    """The id of the request that this task serves; a socket's is that of its handshake. None outside of any."""
    return _current.get()


def apart() -> Context:
    """The context of a task that one request begins and that goes on for others: its lines are nobody's."""
    return Context()
