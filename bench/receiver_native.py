"""The receiver in C: compiled when it is first needed, into a folder that goes away with the process."""

from __future__ import annotations

import atexit
import ctypes
import functools
import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.receiver import ReceiveError

CAPACITY = 20_000

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "room_open": (ctypes.c_void_p, [ctypes.c_uint32]),
    "room_add": (ctypes.c_int, [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]),
    "room_expect": (ctypes.c_int64, [ctypes.c_void_p]),
    "room_wait": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int]),
    "room_fault": (ctypes.c_char_p, [ctypes.c_void_p]),
    "room_deliveries": (ctypes.c_uint64, [ctypes.c_void_p]),
    "room_acks": (ctypes.c_uint64, [ctypes.c_void_p]),
    "room_close": (None, [ctypes.c_void_p]),
}


@functools.cache
def library() -> ctypes.CDLL:
    """Compile receive.c and load it; CalledProcessError when it does not compile."""
    folder = Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = folder / "receive.so"
    source = Path(__file__).with_name("receive.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", target, source], check=True)
    loaded = ctypes.CDLL(str(target))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


class NativeReceiver:
    """See `bench.receiver.Receiver`."""

    def __init__(self) -> None:
        """Start with no members."""
        self._c = library()
        self._room = self._c.room_open(CAPACITY)

    @property
    def deliveries(self) -> int:
        """How many messages all members together have received."""
        return int(self._c.room_deliveries(self._room))

    @property
    def acks(self) -> int:
        """How many acks came."""
        return int(self._c.room_acks(self._room))

    def add(self, fd: int, early: bytes) -> None:
        """See `Receiver.add`."""
        self._checked(self._c.room_add(self._room, fd, early, len(early)))

    def expect(self) -> int:
        """See `Receiver.expect`."""
        return self._checked(self._c.room_expect(self._room))

    def wait(self, seconds: float) -> int:
        """See `Receiver.wait`."""
        return self._checked(self._c.room_wait(self._room, math.ceil(seconds * 1000)))

    def close(self) -> None:
        """See `Receiver.close`."""
        self._c.room_close(self._room)
        self._room = None

    def _checked(self, result: int) -> int:
        if result < 0:
            raise ReceiveError(self._c.room_fault(self._room).decode(errors="replace"))
        return result
