"""bench/frame.py: what a client writes and reads (RFC 6455)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as Reference
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench import frame


@given(st.binary(max_size=70_000))
def test_a_masked_frame_is_read_by_a_server(payload: bytes) -> None:
    """A server unmasks exactly the payload, whatever its length encoding."""
    payload = payload[:65_535]
    server = ServerProtocol(max_size=None)
    server.receive_data(frame.opening("/ws/chat", {"X-Real-IP": "192.0.2.1"}))
    server.receive_data(frame.masked(payload))
    _, received = server.events_received()
    assert isinstance(received, Reference)
    assert (received.opcode, received.data) == (Opcode.TEXT, payload)


def test_the_opening_is_accepted_and_offers_no_extension() -> None:
    """The opening request is a well-formed one and carries the headers asked for."""
    server = ServerProtocol()
    server.receive_data(frame.opening("/ws/chat?token=x", {"Sec-WebSocket-Protocol": "chat.v1"}))
    (request,) = server.events_received()
    assert isinstance(request, Request)
    assert request.path == "/ws/chat?token=x"
    assert request.headers["Sec-WebSocket-Protocol"] == "chat.v1"
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert server.accept(request).status_code == 101


@given(
    st.lists(st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536]), max_size=4),
    st.integers(min_value=1, max_value=70_000),
)
def test_frames_come_out_whole_however_the_bytes_arrive(sizes: list[int], step: int) -> None:
    """Cut anywhere, a stream of server frames gives the same frames and leaves nothing over."""
    payloads = [bytes([65 + i]) * size for i, size in enumerate(sizes)]
    stream = b"".join(Reference(Opcode.TEXT, data).serialize(mask=False) for data in payloads)
    buffer, got = bytearray(), []
    for at in range(0, len(stream), step):
        buffer += stream[at : at + step]
        got += frame.take(buffer)
    assert [(f.opcode, f.payload) for f in got] == [(frame.TEXT, data) for data in payloads]
    assert not buffer


@pytest.mark.parametrize("data", [b"\x81\x80\0\0\0\0", b"\x01\x01a"])
def test_masked_or_fragmented_frames_are_refused(data: bytes) -> None:
    """A server may not mask, and no peer fragments: both raise rather than count wrongly."""
    with pytest.raises(frame.FrameError):
        frame.take(bytearray(data))
