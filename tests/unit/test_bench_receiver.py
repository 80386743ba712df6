"""bench/receiver*.py: the C and the Python receiver accept and refuse the same."""

import shutil
import socket
from collections.abc import Callable, Iterator

import pytest
from websockets.frames import Close, CloseCode, Frame, Opcode

from bench.receiver import SPAN, ReceiveError, Receiver, text
from bench.receiver_native import NativeReceiver
from bench.receiver_plain import PlainReceiver

KINDS: list[Callable[[], Receiver]] = [PlainReceiver, *([NativeReceiver] if shutil.which("gcc") else [])]


class Pair:
    """Two members of a room and their server's ends."""

    def __init__(self, receiver: Receiver) -> None:
        """Connect both."""
        self.receiver = receiver
        self.servers, self.clients = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        for client in self.clients:
            receiver.add(client.fileno(), b"")

    def send(self, member: int, *payloads: str, opcode: Opcode = Opcode.TEXT) -> None:
        """Send frames to one member in one write."""
        frames = [Frame(opcode, payload.encode()).serialize(mask=False) for payload in payloads]
        self.servers[member].sendall(b"".join(frames))

    def read(self) -> int:
        """Read all that was sent; return how many messages became complete."""
        complete = 0
        for _ in range(4):
            complete += self.receiver.wait(0.01)
        return complete


@pytest.fixture(params=KINDS, ids=["python", "c"][: len(KINDS)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A room of two on each kind of receiver."""
    made = Pair(request.param())
    yield made
    made.receiver.close()
    for end in (*made.servers, *made.clients):
        end.close()


def message(number: int) -> str:
    """A delivery as servers write it."""
    return f'{{"type":"message","message":"{text(number, 64)}"}}'


def test_a_message_is_complete_when_every_member_has_it(pair: Pair) -> None:
    """In flight means: not yet with all receivers."""
    assert pair.receiver.expect() == 0
    pair.send(0, message(0))
    assert pair.read() == 0
    pair.send(1, message(0))
    assert pair.read() == 1
    assert pair.receiver.deliveries == 2


def test_joined_frames_and_any_order_count_singly(pair: Pair) -> None:
    """Several frames in one write, out of order, each count once."""
    for _ in range(3):
        pair.receiver.expect()
    pair.send(0, message(2), message(0), message(1))
    pair.send(1, message(0), message(1), message(2))
    assert pair.read() == 3
    assert pair.receiver.deliveries == 6


def test_a_frame_cut_in_two_is_one(pair: Pair) -> None:
    """A frame may come in pieces, its header too."""
    pair.receiver.expect()
    pair.send(1, message(0))
    data = Frame(Opcode.TEXT, message(0).encode()).serialize(mask=False)
    pair.servers[0].sendall(data[:1])
    assert pair.read() == 0
    pair.servers[0].sendall(data[1:])
    assert pair.read() == 1


def test_early_bytes_are_read(pair: Pair) -> None:
    """What came with the handshake is no less a frame."""
    server, client = socket.socketpair()
    with server, client:
        pair.receiver.add(client.fileno(), Frame(Opcode.TEXT, b'{"type":"ack"}').serialize(mask=False))
        assert pair.receiver.acks == 1


def test_acks_and_notices_are_no_deliveries(pair: Pair) -> None:
    """Acks are counted for themselves; presence and System notices are let through."""
    pair.send(0, '{"type":"ack","id":"1"}', '{"type":"presence","joined":[]}', '{"sender":"System"}')
    assert pair.read() == 0
    assert (pair.receiver.acks, pair.receiver.deliveries) == (1, 0)


def test_pings_are_answered(pair: Pair) -> None:
    """A server that asks whether we live is told so, with a masked pong of the same payload."""
    pair.send(0, "1234", opcode=Opcode.PING)
    pair.read()
    reply = pair.servers[0].recv(100)
    assert reply[:2] == b"\x8a\x84"
    assert bytes(byte ^ key for byte, key in zip(reply[6:], reply[2:6], strict=True)) == b"1234"


@pytest.mark.parametrize("payload", ['{"type":"error","code":"rate_limited"}', '{"what":"else"}', "~#0000"])
def test_what_nobody_asked_for_raises(pair: Pair, payload: str) -> None:
    """An error, an unknown frame or a mark without its number stops the run."""
    pair.send(0, payload)
    with pytest.raises(ReceiveError):
        pair.read()


def test_a_repeated_message_raises(pair: Pair) -> None:
    """A second delivery of one message to one member is found, also when others are still missing."""
    for _ in range(2):
        pair.receiver.expect()
    pair.send(0, message(1), message(1))
    with pytest.raises(ReceiveError, match="twice"):
        pair.read()


def test_a_late_repeat_raises(pair: Pair) -> None:
    """A message that all have already must not come again."""
    pair.receiver.expect()
    pair.send(0, message(0))
    pair.send(1, message(0))
    assert pair.read() == 1
    pair.send(0, message(0))
    with pytest.raises(ReceiveError, match="twice"):
        pair.read()


def test_a_message_nobody_posted_raises(pair: Pair) -> None:
    """A number that was not given out is refused."""
    pair.send(0, message(0))
    with pytest.raises(ReceiveError, match="never posted"):
        pair.read()


def test_a_closing_server_raises(pair: Pair) -> None:
    """The end of a connection and a close frame both end the run."""
    pair.servers[0].close()
    with pytest.raises(ReceiveError, match="closed"):
        pair.read()
    close = Close(CloseCode.SERVICE_RESTART, "restart").serialize()
    pair.servers[1].sendall(Frame(Opcode.CLOSE, close).serialize(mask=False))
    with pytest.raises(ReceiveError):
        pair.read()


def test_more_than_the_span_is_refused(pair: Pair) -> None:
    """The record of early messages has one bit each for SPAN of them."""
    for _ in range(SPAN):
        pair.receiver.expect()
    with pytest.raises(ReceiveError, match="too many"):
        pair.receiver.expect()
