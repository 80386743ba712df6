"""The receiving side of a room: reads every client socket and proves that each message came to each once."""

from __future__ import annotations

import shutil
from typing import Protocol

# A message's text starts with this mark and its number in eight digits: a receiver need not read JSON.
MARK = b"~#"
DIGITS = 8

# At most so many messages may be on the way at once: one bit each in a receiver's record of what came early.
SPAN = 64

# The frames besides deliveries that a healthy room sends; anything else stops the run.
ACK = b'"ack"'
NOTICES = (b'"presence"', b'"System"')


class ReceiveError(Exception):
    """A message came twice, was never posted, or a server closed, refused or sent what nobody asked for."""


class Receiver(Protocol):
    """Reads all sockets of one room. A message is complete when every member has it."""

    @property
    def deliveries(self) -> int:
        """How many messages all members together have received."""

    @property
    def acks(self) -> int:
        """How many acks came."""

    def add(self, fd: int, early: bytes) -> None:
        """Read this socket from now on; `early` came with its handshake. Before the first post only."""

    def expect(self) -> int:
        """Return the number of the next message, on its way from now on; at most SPAN are at once."""

    def wait(self, seconds: float) -> int:
        """Read what there is, waiting up to `seconds` for it; return how many messages became complete.

        Raises ReceiveError as soon as anything arrives that should not.
        """

    def close(self) -> None:
        """Forget the sockets (they stay open) and free the memory."""


def text(number: int, length: int) -> str:
    """Return the text of a message of `length` characters that receivers recognise by its number."""
    return f"{MARK.decode()}{number:0{DIGITS}d} ".ljust(length, "x")


def open_receiver() -> Receiver:
    """Return the C receiver where a compiler is at hand, else the far slower one in Python."""
    if shutil.which("gcc"):
        from bench.receiver_native import NativeReceiver  # noqa: PLC0415  (needs a compiler)

        return NativeReceiver()
    from bench.receiver_plain import PlainReceiver  # noqa: PLC0415

    return PlainReceiver()
