"""HTTP and XML-RPC over a Unix socket."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection whose server is a socket file."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket file; raises OSError when nobody listens there."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class UnixTransport(xmlrpc.client.Transport):
    """Carries XML-RPC to a socket file."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self.path, self.timeout = path, timeout

        self.connection = UnixConnection(path, timeout)

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002 - the name is of no use
        """The one connection, which connects anew where the server has closed it."""
        return self.connection

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def get(path: Path, target: str, timeout: float = 5.0) -> tuple[int, str]:
    """The status and body of `GET target`; raises OSError or HTTPException when there is no answer."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
