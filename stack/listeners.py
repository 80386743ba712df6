"""Who listens on a TCP port of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

LISTEN = "0A"


def busy(port: int) -> bool:
    """Whether a server of ours could not bind `port` on every address of this machine."""
    return any(not _bindable(family, address, port) for family, address in _everywhere())


def _everywhere() -> list[tuple[socket.AddressFamily, str]]:
    both = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104 - what the edge binds
    return both if socket.has_ipv6 and Path("/proc/net/tcp6").exists() else both[:1]


def _bindable(family: socket.AddressFamily, address: str, port: int) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def inodes(port: int) -> set[str]:
    """The sockets that listen on `port`, as the kernel numbers them."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def holders(port: int, pids: Iterable[int]) -> list[int]:
    """Those of `pids` that hold a listening socket on `port`; processes we may not look into are left out."""
    wanted = {f"socket:[{inode}]" for inode in inodes(port)}
    return [pid for pid in pids if wanted & _open(pid)] if wanted else []


def _open(pid: int) -> set[str]:
    links = set()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            links.add(str(entry.readlink()))
    except OSError:
        return links
    return links
