"""WebSocket bytes as a client needs them (RFC 6455): opening request, masked frames out, frames in. No I/O."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

# A constant key is enough here: the server unmasks with it as with any other, and frames stay cheap to build.
MASK = b"\x5a\xc3\x17\x88"


class FrameError(Exception):
    """The server sent what no server may send, or what this client does not read."""


class Frame(NamedTuple):
    """One whole, unmasked, unfragmented frame."""

    opcode: int
    payload: bytes


def opening(path: str, headers: Mapping[str, str]) -> bytes:
    """Return the opening request (RFC 6455 §4.1); no extension is offered, so no peer compresses."""
    fixed = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "cG9ydGN1bGxpcy1iZW5jaA==",
        "Sec-WebSocket-Version": "13",
    }
    lines = [f"{name}: {value}" for name, value in (fixed | dict(headers)).items()]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return one final client frame (RFC 6455 §5.2 and §5.3) around a payload of at most 65,535 bytes."""
    size = len(payload)
    header = bytes((0x80 | opcode,))
    header += bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack("!H", size)
    key = (MASK * (size // 4 + 1))[:size]
    body = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return header + MASK + body.to_bytes(size, "big")


def extent(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at `at` starts and ends; None while its header is incomplete."""
    if len(data) - at < 2:
        return None
    size, start = data[at + 1], at + 2
    if size & 0x80 or not data[at] & 0x80:
        raise FrameError("a masked or fragmented frame from the server")
    if size < 126:
        return start, start + size
    width = 2 if size == 126 else 8
    if len(data) - start < width:
        return None
    size = int.from_bytes(data[start : start + width], "big")
    return start + width, start + width + size


def take(data: bytearray) -> list[Frame]:
    """Remove the whole frames from the start of `data` and return them; FrameError for a forbidden one."""
    frames, at = [], 0
    while (found := extent(data, at)) is not None and found[1] <= len(data):
        frames.append(Frame(data[at] & 0x0F, bytes(data[found[0] : found[1]])))
        at = found[1]
    del data[:at]
    return frames
