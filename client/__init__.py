"""A client for Portcullis' `chat.v1`: reconnects, resumes, and hands every event on exactly once and in order.

docs/clients.md describes the protocol and this library; `python -m client` is a terminal chat made with it.
"""

from client.api import Api
from client.client import Client
from client.credentials import Credential, Proof, SignIn, Ticket, Token
from client.errors import ChatError, Ended, Garbled, Refused, Rejected, Throttled, Unconfirmed
from client.frames import (
    AuditRow,
    Deleted,
    Delivery,
    Edited,
    Event,
    HistoryPage,
    MemberChanged,
    MemberRow,
    Membership,
    Message,
    Presence,
    Removed,
    Reset,
    RoomChanged,
    RoomRow,
    Typing,
)
from client.notices import Connected, Disconnected, Notice, Refreshed, Waiting
from client.pace import Backoff
from client.room import Room

__all__ = [
    "Api",
    "AuditRow",
    "Backoff",
    "ChatError",
    "Client",
    "Connected",
    "Credential",
    "Deleted",
    "Delivery",
    "Disconnected",
    "Edited",
    "Ended",
    "Event",
    "Garbled",
    "HistoryPage",
    "MemberChanged",
    "MemberRow",
    "Membership",
    "Message",
    "Notice",
    "Presence",
    "Proof",
    "Refreshed",
    "Refused",
    "Rejected",
    "Removed",
    "Reset",
    "Room",
    "RoomChanged",
    "RoomRow",
    "SignIn",
    "Throttled",
    "Ticket",
    "Token",
    "Typing",
    "Unconfirmed",
    "Waiting",
]
