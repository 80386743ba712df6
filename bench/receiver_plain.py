"""The receiver in Python: it defines what the C one does, and serves where there is no compiler."""

from __future__ import annotations

import contextlib
import select
import socket

from bench import frame
from bench.receiver import ACK, DIGITS, MARK, NOTICES, SPAN, ReceiveError


class Member:
    """One socket, what is left of its last read, and which messages it has."""

    def __init__(self, fd: int, early: bytes) -> None:
        """Borrow the descriptor: its owner closes it."""
        self.socket = socket.socket(fileno=fd)
        self.rest = bytearray(early)
        self.next = 0
        self.ahead = 0

    def record(self, number: int) -> None:
        """Note one delivery; ReceiveError when the member already has it."""
        bit = 1 << (number - self.next) if number >= self.next else 0
        if not bit or self.ahead & bit:
            raise ReceiveError(f"message {number} came twice to one receiver")
        self.ahead |= bit
        while self.ahead & 1:
            self.ahead >>= 1
            self.next += 1


class PlainReceiver:
    """See `bench.receiver.Receiver`."""

    def __init__(self) -> None:
        """Start with no members."""
        self._deliveries = 0
        self._acks = 0
        self._members: dict[int, Member] = {}
        self._missing: dict[int, int] = {}
        self._posted = 0
        self._complete = 0
        self._epoll = select.epoll()

    @property
    def deliveries(self) -> int:
        """See `Receiver.deliveries`."""
        return self._deliveries

    @property
    def acks(self) -> int:
        """See `Receiver.acks`."""
        return self._acks

    def add(self, fd: int, early: bytes) -> None:
        """See `Receiver.add`."""
        self._members[fd] = Member(fd, early)
        self._epoll.register(fd, select.EPOLLIN)
        self._parse(self._members[fd])

    def expect(self) -> int:
        """See `Receiver.expect`."""
        number = self._posted
        if any(number - other >= SPAN for other in self._missing):
            raise ReceiveError("too many messages on the way at once")
        self._missing[number] = len(self._members)
        self._posted += 1
        return number

    def wait(self, seconds: float) -> int:
        """See `Receiver.wait`."""
        before = self._complete
        for fd, _ in self._epoll.poll(seconds, maxevents=256):
            member = self._members[fd]
            with contextlib.suppress(BlockingIOError):
                data = member.socket.recv(65536, socket.MSG_DONTWAIT)
                if not data:
                    raise ReceiveError("the server closed a connection")
                member.rest += data
                self._parse(member)
        return self._complete - before

    def close(self) -> None:
        """See `Receiver.close`."""
        self._epoll.close()
        for member in self._members.values():
            member.socket.detach()
        self._members.clear()

    def _parse(self, member: Member) -> None:
        try:
            frames = frame.take(member.rest)
        except frame.FrameError as error:
            raise ReceiveError(str(error)) from error
        for opcode, payload in frames:
            if opcode == frame.PING:
                member.socket.sendall(frame.masked(payload, frame.PONG))
            elif opcode == frame.TEXT:
                self._classify(member, payload)
            elif opcode != frame.PONG:
                raise ReceiveError(f"unexpected frame {opcode:#x} {payload[:200]!r}")

    def _classify(self, member: Member, payload: bytes) -> None:
        at = payload.find(MARK)
        if at >= 0:
            self._deliver(member, payload[at + len(MARK) : at + len(MARK) + DIGITS])
        elif ACK in payload:
            self._acks += 1
        elif not any(notice in payload for notice in NOTICES):
            raise ReceiveError(f"unexpected frame {payload[:200]!r}")

    def _deliver(self, member: Member, digits: bytes) -> None:
        number = int(digits) if len(digits) == DIGITS and digits.isdigit() else self._posted
        if number >= self._posted:
            raise ReceiveError(f"a message that was never posted: {digits!r}")
        member.record(number)
        self._deliveries += 1
        self._missing[number] -= 1
        if not self._missing[number]:
            del self._missing[number]
            self._complete += 1
