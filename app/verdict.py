"""Every way in which a handshake can be refused, a frame answered with an error and a connection closed.

A refusal is a value, never an exception. The metrics' `reason` and `code` labels, the problem bodies, the error and
close frames and docs/reasons.md all come from the three tables here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from http import HTTPStatus
from typing import Final


class Reason(StrEnum):
    """Why a handshake (or the HTTP request that stands for one) was refused."""

    DRAINING = "draining"
    HOST_UNKNOWN = "host_unknown"
    HANDSHAKE_INVALID = "handshake_invalid"
    ORIGIN_FORBIDDEN = "origin_forbidden"
    SUBPROTOCOL_UNKNOWN = "subprotocol_unknown"
    IP_RATE = "ip_rate"
    CREDENTIAL_MISSING = "credential_missing"
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_REUSED = "token_reused"  # noqa: S105
    TOKEN_EXPOSED = "token_exposed"  # noqa: S105
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_BANNED = "account_banned"
    USER_COOLDOWN = "user_cooldown"
    IP_BANNED = "ip_banned"
    USER_CONNECTIONS = "user_connections"
    IP_CONNECTIONS = "ip_connections"
    NODE_FULL = "node_full"
    BACKEND_DOWN = "backend_down"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a refusal says to the client."""

    status: HTTPStatus
    text: str


REASONS: Final[dict[Reason, Meaning]] = {
    Reason.DRAINING: Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "The server is restarting. Connect again later."),
    Reason.HOST_UNKNOWN: Meaning(HTTPStatus.BAD_REQUEST, "This server does not answer for that host name."),
    Reason.HANDSHAKE_INVALID: Meaning(
        HTTPStatus.BAD_REQUEST, "The request is not a well-formed WebSocket upgrade through the edge."
    ),
    Reason.ORIGIN_FORBIDDEN: Meaning(HTTPStatus.FORBIDDEN, "Pages of that origin may not connect."),
    Reason.SUBPROTOCOL_UNKNOWN: Meaning(
        HTTPStatus.BAD_REQUEST, "None of the offered subprotocols is spoken here. Offer chat.v1, or none."
    ),
    Reason.IP_RATE: Meaning(HTTPStatus.TOO_MANY_REQUESTS, "Too many handshakes from your address. Wait."),
    Reason.CREDENTIAL_MISSING: Meaning(HTTPStatus.UNAUTHORIZED, "Sign in, or send an access token."),
    Reason.TOKEN_INVALID: Meaning(HTTPStatus.UNAUTHORIZED, "The credential is not valid here. Get a new one."),
    Reason.TOKEN_EXPIRED: Meaning(HTTPStatus.UNAUTHORIZED, "The credential has expired. Get a new one."),
    Reason.TOKEN_REVOKED: Meaning(HTTPStatus.UNAUTHORIZED, "The credential was revoked. Sign in again."),
    Reason.TOKEN_REUSED: Meaning(HTTPStatus.UNAUTHORIZED, "The ticket was used before. Get a new one."),
    Reason.TOKEN_EXPOSED: Meaning(
        HTTPStatus.UNAUTHORIZED,
        "A long-lived token must not travel in a URL. Send it as a header, or get a ticket.",
    ),
    Reason.ACCOUNT_DISABLED: Meaning(HTTPStatus.FORBIDDEN, "The account is disabled."),
    Reason.ACCOUNT_BANNED: Meaning(HTTPStatus.FORBIDDEN, "The account is banned."),
    Reason.USER_COOLDOWN: Meaning(
        HTTPStatus.TOO_MANY_REQUESTS, "You were sending far too fast and have to cool down. Wait."
    ),
    Reason.IP_BANNED: Meaning(HTTPStatus.FORBIDDEN, "Your address is banned."),
    Reason.USER_CONNECTIONS: Meaning(
        HTTPStatus.TOO_MANY_REQUESTS, "You have too many connections open. Close one first."
    ),
    Reason.IP_CONNECTIONS: Meaning(
        HTTPStatus.TOO_MANY_REQUESTS, "Too many connections are open from your address. Close one first."
    ),
    Reason.NODE_FULL: Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "The server is full. Connect again later."),
    Reason.BACKEND_DOWN: Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "A store is not reachable. Connect again later."),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused handshake."""

    reason: Reason
    retry_after: float | None = None
    """Seconds to wait; None where waiting does not help."""
    why: str | None = None
    """What failed of ours, for the log alone."""


class ErrorCode(StrEnum):
    """The `code` of an error frame and the `reason` of the same refusal over HTTP: what a program can act on."""

    INVALID = "invalid"
    BLANK = "blank"
    TOO_LONG = "too_long"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    ROOM_UNKNOWN = "room_unknown"
    ROOM_FULL = "room_full"
    ROOM_ARCHIVED = "room_archived"
    NOT_JOINED = "not_joined"
    REMOVED = "removed"
    FORBIDDEN = "forbidden"
    BANNED = "banned"
    MUTED = "muted"
    TOO_MANY_ROOMS = "too_many_rooms"
    LAST_OWNER = "last_owner"
    USER_UNKNOWN = "user_unknown"
    MEMBER_UNKNOWN = "member_unknown"
    EVENT_UNKNOWN = "event_unknown"
    UNCHANGED = "unchanged"
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    TOKEN_REUSED = "token_reused"  # noqa: S105


ERRORS: Final[dict[ErrorCode, Meaning]] = {
    ErrorCode.INVALID: Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "That is not valid."),
    ErrorCode.BLANK: Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "Message cannot be empty"),
    ErrorCode.TOO_LONG: Meaning(HTTPStatus.UNPROCESSABLE_ENTITY, "Message too long"),
    ErrorCode.RATE_LIMITED: Meaning(
        HTTPStatus.TOO_MANY_REQUESTS, "Rate limit exceeded. Please wait before sending more messages."
    ),
    ErrorCode.BUSY: Meaning(HTTPStatus.SERVICE_UNAVAILABLE, "That could not be stored now. Send it again, same id."),
    ErrorCode.ROOM_UNKNOWN: Meaning(HTTPStatus.NOT_FOUND, "There is no such room."),
    ErrorCode.ROOM_FULL: Meaning(HTTPStatus.TOO_MANY_REQUESTS, "The room is full."),
    ErrorCode.ROOM_ARCHIVED: Meaning(HTTPStatus.CONFLICT, "The room is archived: it can be read, not changed."),
    ErrorCode.NOT_JOINED: Meaning(HTTPStatus.CONFLICT, "Join the room first."),
    ErrorCode.REMOVED: Meaning(HTTPStatus.FORBIDDEN, "You are not in the room any more."),
    ErrorCode.FORBIDDEN: Meaning(HTTPStatus.FORBIDDEN, "Your role in the room does not allow that."),
    ErrorCode.BANNED: Meaning(HTTPStatus.FORBIDDEN, "You are banned from the room."),
    ErrorCode.MUTED: Meaning(HTTPStatus.FORBIDDEN, "You are muted in the room."),
    ErrorCode.TOO_MANY_ROOMS: Meaning(HTTPStatus.CONFLICT, "You are in as many rooms as one can be. Leave one first."),
    ErrorCode.LAST_OWNER: Meaning(HTTPStatus.CONFLICT, "The room needs an owner: make somebody else one first."),
    ErrorCode.USER_UNKNOWN: Meaning(HTTPStatus.NOT_FOUND, "There is no such user."),
    ErrorCode.MEMBER_UNKNOWN: Meaning(HTTPStatus.NOT_FOUND, "That user is not in the room."),
    ErrorCode.EVENT_UNKNOWN: Meaning(HTTPStatus.NOT_FOUND, "There is no such message of yours here."),
    ErrorCode.UNCHANGED: Meaning(HTTPStatus.CONFLICT, "That is so already."),
    ErrorCode.TOKEN_INVALID: Meaning(HTTPStatus.UNAUTHORIZED, "The token cannot replace this connection's credential."),
    ErrorCode.TOKEN_EXPIRED: Meaning(HTTPStatus.UNAUTHORIZED, "The token has expired."),
    ErrorCode.TOKEN_REVOKED: Meaning(HTTPStatus.UNAUTHORIZED, "The token was revoked."),
    ErrorCode.TOKEN_REUSED: Meaning(HTTPStatus.UNAUTHORIZED, "The ticket was used before."),
}


@dataclass(frozen=True, slots=True)
class Denied:
    """One refused verb."""

    code: ErrorCode
    retry_after: float | None = None
    """Seconds after which the same verb may pass; None where waiting does not help."""
    limit: str | None = None
    """The limit that was reached."""
    sentence: str = ""
    """What a person should read where the table's sentence says too little."""

    @property
    def text(self) -> str:
        """The sentence for a person."""
        return self.sentence or ERRORS[self.code].text


class CloseCode(IntEnum):
    """RFC 6455 §7.4 codes in their own meaning, then ours: 4000-4499 reconnect, 4500-4999 do not."""

    GOING_AWAY = 1001
    BAD_TEXT = 1007
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    TRY_LATER = 1013
    SLOW_CONSUMER = 4000
    CREDENTIAL_EXPIRED = 4001
    FLOOD = 4500
    REVOKED = 4501
    ACCOUNT_DISABLED = 4502
    ACCOUNT_BANNED = 4503
    IP_BANNED = 4504
    MALFORMED = 4505


CLOSES: Final[dict[CloseCode, tuple[str, str]]] = {
    CloseCode.GOING_AWAY: ("going_away", "The page or the client went away."),
    CloseCode.BAD_TEXT: ("bad_text", "A text frame was not UTF-8 (RFC 6455 §8.1)."),
    CloseCode.TOO_BIG: ("too_big", "A frame was larger than the server accepts."),
    CloseCode.INTERNAL: ("internal", "The peer missed its pings, or the server failed."),
    CloseCode.RESTART: ("restart", "The server is restarting; reconnect after the hint in going_away."),
    CloseCode.TRY_LATER: ("try_later", "The server cannot serve this connection now."),
    CloseCode.SLOW_CONSUMER: ("slow_consumer", "The client read too slowly and its outbox was full."),
    CloseCode.CREDENTIAL_EXPIRED: (
        "credential_expired",
        "The credential expired; reconnect with a fresh one.",
    ),
    CloseCode.FLOOD: ("flood", "The client kept flooding after many throttles; the user has to cool down."),
    CloseCode.REVOKED: ("revoked", "The session or token was ended or revoked."),
    CloseCode.ACCOUNT_DISABLED: ("account_disabled", "The account was disabled."),
    CloseCode.ACCOUNT_BANNED: ("account_banned", "The account was banned."),
    CloseCode.IP_BANNED: ("ip_banned", "The address was banned."),
    CloseCode.MALFORMED: ("malformed", "The client kept sending malformed frames."),
}
"""Code to (the reason in the close frame, what it means)."""

OTHER: Final = "other"
CLOSE_LABELS: Final = (*(str(int(code)) for code in (1000, 1002, 1006, *CloseCode)), OTHER)
"""The label values of `closes_total{code}`: RFC 6455's normal end, a breach of the protocol and a lost connection, all
of ours, and one word for whatever else a client may say."""


def close_label(code: int) -> str:
    """The label that a connection's close counts under."""
    return str(code) if str(code) in CLOSE_LABELS else OTHER
