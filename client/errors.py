"""What can go wrong, as the caller sees it. Each carries the server's own word for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

_RENEWABLE: Final = frozenset({"token_expired", "token_reused"})
"""Reasons of a 401 that a fresh credential of the same provider cures."""
_TERMINAL_CLOSES: Final = range(4500, 5000)


class ChatError(Exception):
    """Whatever this library raises on purpose."""


class Ended(ChatError):
    """The client has stopped for good: `reason` is the server's word, or `closed` after the caller's own `close`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Refused(ChatError):
    """A verb was refused: `code` is a word of docs/reasons.md, `retry_after` seconds where waiting may help.

    With `uncertain`, an earlier sending of the same frame was lost with its connection: it may have been carried out.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        limit: str | None = None,
        retry_after: float | None = None,
        uncertain: bool = False,
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.limit = limit
        self.retry_after = retry_after
        self.uncertain = uncertain


class Throttled(Refused):
    """Refused for now, and for longer than the caller has patience. `retry_after` says for how long."""


class Unconfirmed(ChatError):
    """No answer within the caller's patience: it may have been carried out. Sending `id` again is safe."""

    def __init__(self, id: str) -> None:  # noqa: A002 - the protocol's word
        super().__init__(f"no answer to {id} in time")
        self.id = id


class Garbled(ChatError):
    """The server said something that its protocol does not allow."""


class Rejected(ChatError):
    """An HTTP answer that is no success: of a handshake, or of the API.

    By `request_id` whoever runs the server finds what happened; empty where nobody said one.
    """

    def __init__(
        self, status: int, reason: str, detail: str = "", retry_after: float | None = None, request_id: str = ""
    ) -> None:
        super().__init__(f"{status} {reason}" + (f" (request {request_id})" if request_id else ""))
        self.status = status
        self.request_id = request_id
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after

    def lasting(self, *, renews: bool) -> bool:
        """Whether coming again is pointless, `renews` saying whether the credential will be another one then."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            return not (renews and self.reason in _RENEWABLE)
        passing = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
        return self.status < HTTPStatus.INTERNAL_SERVER_ERROR and self.status not in passing


def terminal_close(code: int | None) -> bool:
    """Whether the server closed with a code after which nobody may come back by themselves."""
    return code in _TERMINAL_CLOSES
