"""A room full of clients on one server, and one burst of messages through it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from bench import frame
from bench.peer import Peer
from bench.receiver import Receiver, open_receiver, text
from bench.server import Server

MESSAGE_CHARACTERS = 64
STALL_SECONDS = 10.0
QUIET_SECONDS = 0.1
READS_PER_WAIT = 256


class RoomError(Exception):
    """A client was refused, or messages or acks did not come."""


class Burst(NamedTuple):
    """What one burst moved and cost."""

    deliveries: int
    seconds: float
    server_cpu: float
    client_cpu: float

    @property
    def per_cpu_second(self) -> float:
        """Deliveries per server CPU-second."""
        return self.deliveries / self.server_cpu


class Room:
    """All clients of one server. They stay connected; only one room has a burst at a time.

    `meanwhile` is called often while this room is at work, so that the others' pings do not go unanswered.
    """

    def __init__(self, peer: Peer, server: Server, receivers: int, meanwhile: Callable[[], None]) -> None:
        """Connect so many receivers and wait until the server has said all it says about that."""
        self._meanwhile = meanwhile
        self._busy = False
        self._peer, self._server = peer, server
        self._receiver: Receiver = open_receiver()
        self._sockets: list[socket.socket] = []
        self._posted = 0
        for index in range(receivers):
            self._enter(index)
            self._receiver.wait(0)
            meanwhile()
        self._settle()

    def close(self) -> None:
        """Close all connections without a closing handshake."""
        self._receiver.close()
        for connection in self._sockets:
            connection.close()

    def tend(self) -> None:
        """Answer the pings of an idle room; servers drop clients that do not, Portcullis within 4 s."""
        for _ in range(0 if self._busy else len(self._sockets) // READS_PER_WAIT + 1):
            self._receiver.wait(0)

    def burst(self, window: int, seconds: float) -> Burst:
        """Keep `window` messages in flight for so long: one is in flight until every receiver has it.

        Raises ReceiveError or RoomError unless each receiver got each message exactly once and each ack came.
        """
        self._busy = True
        before = self._receiver.deliveries
        start, server, client = time.monotonic(), self._server.cpu_seconds(), time.process_time()
        self._flow(window, start + seconds)
        result = Burst(
            deliveries=self._receiver.deliveries - before,
            seconds=time.monotonic() - start,
            server_cpu=self._server.cpu_seconds() - server,
            client_cpu=time.process_time() - client,
        )
        self._settle()
        self._verify()
        self._busy = False
        return result

    def _enter(self, index: int) -> None:
        connection = self._server.connect()
        connection.settimeout(STALL_SECONDS)
        connection.sendall(self._peer.opening(index))
        early = _answer(connection)
        if (greeting := self._peer.greeting(index)) is not None:
            connection.sendall(frame.masked(greeting[0]))
            _await_frame(connection, early, greeting[1])
        self._sockets.append(connection)
        self._receiver.add(connection.fileno(), bytes(early))

    def _flow(self, window: int, deadline: float) -> None:
        in_flight, due, moved = 0, window, time.monotonic()
        while in_flight or due:
            for _ in range(due):
                self._post()
            in_flight += due
            complete = self._receiver.wait(1.0)
            self._meanwhile()
            in_flight -= complete
            now = time.monotonic()
            moved = now if complete else moved
            if now - moved > STALL_SECONDS:
                raise RoomError(f"{self._peer.name}: {in_flight} messages did not reach everybody")
            due = complete if now < deadline else 0
        self._await_acks()

    def _post(self) -> None:
        number = self._receiver.expect()
        payload = self._peer.post(number, text(number, MESSAGE_CHARACTERS))
        self._sockets[number % len(self._sockets)].sendall(frame.masked(payload))
        self._posted += 1

    def _await_acks(self) -> None:
        deadline = time.monotonic() + STALL_SECONDS
        while self._peer.acks and self._receiver.acks < self._posted:
            if time.monotonic() > deadline:
                raise RoomError(f"{self._peer.name}: {self._posted - self._receiver.acks} acks did not come")
            self._receiver.wait(0.1)

    def _settle(self) -> None:
        """Read on for a moment: what comes now is a notice, or one delivery too many, which raises."""
        deadline = time.monotonic() + QUIET_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self._receiver.wait(left)

    def _verify(self) -> None:
        expected = self._posted * len(self._sockets)
        if self._receiver.deliveries != expected:
            raise RoomError(f"{self._peer.name}: {self._receiver.deliveries} deliveries, not {expected}")
        if self._receiver.acks != (self._posted if self._peer.acks else 0):
            raise RoomError(f"{self._peer.name}: {self._receiver.acks} acks for {self._posted} posts")


def _answer(connection: socket.socket) -> bytearray:
    """Read the answer to the opening request; return what came after it."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise RoomError(f"a handshake was refused: {bytes(data[:500])!r}")
    return rest


def _await_frame(connection: socket.socket, early: bytearray, marker: bytes) -> None:
    """Read until a frame contains `marker`; frames before it are dropped, bytes after it stay in `early`."""
    while True:
        seen = frame.take(early)
        if any(marker in payload for _, payload in seen):
            return
        if any(opcode == frame.CLOSE or b'"error"' in payload for opcode, payload in seen):
            raise RoomError(f"the room was refused: {seen!r}")
        if not (more := connection.recv(65536)):
            raise RoomError("the server closed a connection that was joining")
        early += more
