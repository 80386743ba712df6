"""Reading what another server answers, bounded in size and time: it may send for ever, a byte at a time."""

from __future__ import annotations

import time
from typing import Final, Protocol

_CHUNK: Final = 65_536


class Readable(Protocol):
    """An answer whose body can be read as it comes."""

    def read1(self, n: int = -1, /) -> bytes:
        """What there is, at most `n` bytes; nothing at its end."""


def read(answer: Readable, most: int, deadline: float) -> bytes:
    """The whole body. Blocks, so it runs in a thread.

    Raises ValueError when it has more than `most` bytes, TimeoutError when it goes on after `deadline`
    (`time.monotonic()`), and what the connection raises.
    """
    content = bytearray()
    while chunk := answer.read1(_CHUNK):
        content += chunk
        if len(content) > most:
            raise ValueError(f"the answer is larger than {most} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
    return bytes(content)
