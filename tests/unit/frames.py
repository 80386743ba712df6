"""Reads what the server wrote."""

from __future__ import annotations


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of whole, unfragmented, unmasked frames (RFC 6455 §5.2)."""
    found = []
    while data:
        opcode, size, start = data[0] & 0x0F, data[1], 2
        assert data[0] & 0xF0 == 0x80 and size < 128
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        found.append((opcode, data[start : start + size]))
        data = data[start + size :]
    return found
